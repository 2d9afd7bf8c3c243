"""Proposals by the roles of a model: extract, verify, map, and look for what says the same; chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from threatloop.threats.evidence.corpus import Corpus
from threatloop.threats.evidence.documents import Document
from threatloop.threats.evidence.duplicates import Known, distinct
from threatloop.threats.evidence.endpoint import Endpoint, Unanswered, Unfit
from threatloop.threats.evidence.extraction import Author, Extraction
from threatloop.threats.evidence.mapper import Candidate, Mapper
from threatloop.threats.evidence.proposals import Proposal
from threatloop.threats.evidence.roles.extractor import extract
from threatloop.threats.evidence.roles.mapping import map_claims
from threatloop.threats.evidence.roles.verifier import grounded, verify
from threatloop.threats.evidence.spans import Span, chunks, sentences

CANDIDATES = 8
DESCRIBED = 400
"""Characters of a technique's description that a model reads."""


@dataclass(frozen=True)
class Roles:
    """All that the roles work with.

    Attributes:
        endpoint: that plays them.
        corpus, mapper: techniques, and the retrieval that limits what may be chosen.
        known: what may say the same.
    """

    endpoint: Endpoint
    corpus: Corpus
    mapper: Mapper
    known: Known

    @property
    def by(self) -> str:
        return f"model {self.endpoint.model}"

    def propose(self, document: Document, advance: Callable[[int, int], None]) -> Extraction:
        """Proposals of a document. What was proposed before the endpoint failed stays; the failure is said.

        Args:
            document: to read.
            advance: called with the chunks that are done and all of them.
        """
        parts, around = chunks(document.text), sentences(document.text)
        found, unfit = Extraction(), list[str]()
        for done, chunk in enumerate(parts, 1):
            try:
                found.proposals += self._of_chunk(document, chunk, around, found)
            except Unfit as error:
                unfit.append(f"part {done} of {len(parts)}: {error}")
            except Unanswered as error:
                found.unprocessed, found.gone = f"from part {done} of {len(parts)} on: {error}", True
                break
            advance(done, len(parts))
        if unfit and not found.unprocessed:
            found.unprocessed = unfit[0] + (f"; and {len(unfit) - 1} more parts" if unfit[1:] else "")
        several, found.proposals = found.proposals, distinct(found.proposals)
        found.drop("the same technique by an overlapping passage", len(several) - len(found.proposals))
        return found

    def _of_chunk(self, document: Document, chunk: Span, around: Sequence[Span], found: Extraction) -> list[Proposal]:
        text, author = document.text, Author(self.by, self.mapper.calibrated)
        ttps = extract(self.endpoint, chunk.of(text))
        there = grounded(ttps, text, chunk, around)
        found.drop("the passage is not in the document", len(ttps) - len(there))
        claims = verify(self.endpoint, there, text)
        found.drop("the passage does not state it", len(there) - len(claims))
        words = [f"{one.name}. {one.summary} {one.span.of(text)}" for one in claims]
        ranked = [one.candidates for one in self.mapper.rank(words, CANDIDATES)]
        chosen = map_claims(self.endpoint, claims, ranked, self._descriptions(ranked), text)
        found.drop("none of the candidate techniques fits", chosen.count(None))
        alike = self.known.similar([f"{one.name}. {one.summary}" for one in claims])
        return [
            author.proposal(document, claim.span, _first(technique, candidates), similar, claim.name, claim.summary)
            for claim, candidates, technique, similar in zip(claims, ranked, chosen, alike, strict=True)
            if technique is not None
        ]

    def _descriptions(self, ranked: Sequence[Sequence[Candidate]]) -> dict[str, str]:
        needed = {one.technique for candidates in ranked for one in candidates}
        return {one.id: one.text[:DESCRIBED] for one in self.corpus.techniques if one.id in needed}


def _first(technique: str, ranked: Sequence[Candidate]) -> list[Candidate]:
    return sorted(ranked, key=lambda one: one.technique != technique)
