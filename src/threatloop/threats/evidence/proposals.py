"""What is proposed to a reviewer: a technique, the passage that shows it, and who says so."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from threatloop.core.digests import digest_json

RETRIEVAL = "retrieval"
Share = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """Of the queue file: closed and unchanging."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Frozen):
    """A document.

    Attributes:
        digest: of its bytes.
        title: one line.
        file: its name, without folders.
    """

    digest: str = Field(pattern=r"^[0-9a-f]{16,128}$")
    title: str = Field(max_length=400)
    file: str = Field(max_length=400)


class Passage(Frozen):
    """Whole sentences, word for word, from character ``start`` up to ``end`` of the document's text."""

    text: str = Field(min_length=1, max_length=20_000)
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Ranked(Frozen):
    """A technique and how well retrieval finds that it fits."""

    technique: str = Field(max_length=40)
    name: str = Field(max_length=300)
    score: Share


class Similar(Frozen):
    """A threat of the graph, or an earlier proposal, that may say the same."""

    id: str = Field(max_length=300)
    similarity: Share


class Proposal(Frozen):
    """One statement to review: this document shows this technique, and this is the passage.

    Attributes:
        document, passage: where it comes from.
        technique: the one proposed.
        calibrated: whether scores are probabilities, given that the passage shows a technique; else fused ranks.
        name, summary: of the tactic, technique or procedure in the model's words; empty where retrieval alone proposes.
        by: ``retrieval``, or ``model NAME``.
        others: further candidates, the best first.
        similar: what may say the same, the most alike first.
    """

    document: Source
    passage: Passage
    technique: Ranked
    calibrated: bool
    by: str = Field(max_length=300)
    name: str = Field(default="", max_length=200)
    summary: str = Field(default="", max_length=1_000)
    others: tuple[Ranked, ...] = ()
    similar: tuple[Similar, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same document, technique and passage, whoever proposes it and whenever."""
        return digest_json([self.document.digest, self.technique.technique, self.passage.start, self.passage.end])[:10]
