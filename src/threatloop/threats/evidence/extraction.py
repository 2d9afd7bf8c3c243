"""What one document gave, and how a proposal is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threatloop.threats.evidence.documents import Document
from threatloop.threats.evidence.mapper import Candidate
from threatloop.threats.evidence.proposals import Passage, Proposal, Ranked, Similar, Source
from threatloop.threats.evidence.spans import Span


@dataclass
class Extraction:
    """What one document gave.

    Attributes:
        proposals: to review.
        unprocessed: why the document, or a part of it, was not processed; empty where it was.
        gone: the endpoint answers nothing any more.
        dropped: how many candidates went, by reason.
    """

    proposals: list[Proposal] = field(default_factory=list)
    unprocessed: str = ""
    gone: bool = False
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


@dataclass(frozen=True)
class Author:
    """Who proposes: ``retrieval`` or ``model NAME``, and whether the scores beside it are probabilities."""

    by: str
    calibrated: bool

    def proposal(
        self,
        document: Document,
        span: Span,
        ranked: Sequence[Candidate],
        similar: Sequence[Similar],
        name: str = "",
        summary: str = "",
    ) -> Proposal:
        """A proposal for the passage at a span; the first of the candidates is what is proposed."""
        first, *others = (
            Ranked(technique=one.technique, name=one.name, score=min(1.0, max(0.0, one.score))) for one in ranked
        )
        return Proposal(
            document=source_of(document),
            passage=Passage(text=span.of(document.text), start=span.start, end=span.end),
            technique=first,
            calibrated=self.calibrated,
            by=self.by,
            name=name,
            summary=summary,
            others=tuple(others),
            similar=tuple(similar),
        )


def source_of(document: Document) -> Source:
    """The document as proposals name it: without the folders it lies in."""
    return Source(
        digest=document.digest,
        title=document.title,
        file=Path(document.source).name.encode("utf-8", "replace").decode(),
    )
