"""Proposals without a model: of every technique that is likely somewhere in a document, the likeliest passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from threatloop.threats.evidence.documents import Document
from threatloop.threats.evidence.duplicates import Known
from threatloop.threats.evidence.extraction import Author, Extraction
from threatloop.threats.evidence.mapper import Candidate, Mapper
from threatloop.threats.evidence.proposals import RETRIEVAL
from threatloop.threats.evidence.spans import Span, passages

LEAST = 0.5
"""Probability from which a technique is proposed for a passage."""
LEAST_RANKED = 0.99
"""The same where ranks are fused: nearly first by every signal."""
FEWEST_WORDS = 8
"""Words below which a passage is a heading or a stub, and shows nothing."""
MOST = 60
"""Proposals of one document, the likeliest ones."""
CANDIDATES = 8
AT_ONCE = 32

_Found = tuple[Span, tuple[Candidate, ...]]


def propose_by_retrieval(
    document: Document, mapper: Mapper, known: Known, advance: Callable[[int, int], None]
) -> Extraction:
    """Proposals of a document, marked as retrieval's.

    Args:
        document: to read.
        mapper: that ranks techniques for its passages.
        known: what may say the same.
        advance: called with the passages that are done and all of them.
    """
    found, author = Extraction(), Author(RETRIEVAL, mapper.calibrated)
    likely = sorted(_likely(document, mapper, advance).values(), key=lambda one: -one[1][0].score)
    found.drop(f"beyond the {MOST} likeliest", len(likely[MOST:]))
    likely = likely[:MOST]
    alike = known.similar(_texts(document, [span for span, _ in likely]))
    for (span, ranked), similar in zip(likely, alike, strict=True):
        found.proposals.append(author.proposal(document, span, ranked, similar))
    return found


def _likely(document: Document, mapper: Mapper, advance: Callable[[int, int], None]) -> dict[str, _Found]:
    """By technique, its likeliest passage, where it is likely enough."""
    spans = [span for span in passages(document.text) if len(span.of(document.text).split()) >= FEWEST_WORDS]
    least, best = LEAST if mapper.calibrated else LEAST_RANKED, dict[str, _Found]()
    for start in range(0, len(spans), AT_ONCE):
        part = spans[start : start + AT_ONCE]
        for span, ranking in zip(part, mapper.rank(_texts(document, part), CANDIDATES), strict=True):
            first = ranking.candidates[0]
            held = best.get(first.technique)
            if ranking.familiar and first.score >= least and (held is None or first.score > held[1][0].score):
                best[first.technique] = span, ranking.candidates
        advance(start + len(part), len(spans))
    return best


def _texts(document: Document, spans: Sequence[Span]) -> list[str]:
    return [span.of(document.text) for span in spans]
