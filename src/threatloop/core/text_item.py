"""What a run folder keeps of the texts that models wrote: ``texts.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Passage(BaseModel):
    """A text of the gallery.

    Attributes:
        text: its first characters; empty where it is withheld.
        length: characters of the whole.
        digest: by which two parties can tell whether they talk about the same text.
        withheld: no report may ever hold it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    length: int
    digest: str
    withheld: bool = False


class Said(BaseModel):
    """A prompt and the reply to it, with the judge's word; the prompt of a document has no characters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Passage
    reply: Passage
    verdict: str


class TextItem(BaseModel):
    """What was said after an attack, and before it or without it where that is known, of one record.

    Attributes:
        private: the target's data are not public.
        sensitive: its texts are kept out of reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    scenario: str
    arm: str
    step: int
    lap: int = 1
    seed: int
    record: int
    before: Said | None
    after: Said
    private: bool = False
    sensitive: bool = False
