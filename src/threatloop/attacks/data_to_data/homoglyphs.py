"""Removal of a text watermark by characters that look alike, or like nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.algorithms.lookalikes import ALIKE, BLANK, NOTHING
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.core.step import AttackInfo, Direction
from threatloop.modality.conversation import read, replied, said_in, write


class Homoglyphs(DataToData):
    """Changes how text is encoded and not how it looks, so that a tokenizer reads other tokens.

    Threat model: the attacker holds marked texts and nothing else. ``confusables`` swaps Latin letters for Cyrillic and
    Greek ones of the same shape, ``zero_width`` puts a zero-width space behind characters, ``whitespace`` swaps spaces
    for others. A reader sees no difference; an owner whose detector folds such characters (`folds` of the marks)
    undoes it, but for what was cut off, and whoever trains on the text gets one of another kind, which its perplexity
    shows.

    Returns the texts, same labels and ids; questions stay as they are. A row has room for so many bytes: what no longer
    fits is cut off at the end. Notes: ``characters_kept``, the share that was not cut.

    Boucher, Shumailov, Anderson, Papernot 2021, "Bad Characters: Imperceptible NLP Attacks", arXiv 2106.09898, section
    4; Kirchenbauer et al. 2023, arXiv 2301.10226, section 5 (homoglyph and zero-width attacks on watermarks).

    Attributes:
        share: of the characters that could be changed, in (0, 1].
        kind: of the change.

    Raises:
        NotAssessable: no text has a character that could be changed.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Homoglyphs and formatting",
        direction=Direction.DATA_TO_DATA,
        knowledge="nothing but the marked texts",
        modalities=frozenset({"text"}),
        metrics=("text_watermark_escapes", "text_fidelity"),
        paper="Boucher, Shumailov, Anderson, Papernot 2021, Bad Characters: Imperceptible NLP Attacks, arXiv "
        "2106.09898, section 4",
        baseline="identity",
        undoes=("green_list", "gumbel"),
        atlas=("AML.T0043",),
        sweep="share",
    )

    share: float = Field(default=0.3, gt=0, le=1)
    kind: Literal["confusables", "zero_width", "whitespace"] = "confusables"

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        if not isinstance(data.schema, TextSchema):
            raise NotAssessable(f"{data.schema.kind} records have no characters")
        rng, width, records = bench.streams.numpy("homoglyphs"), data.schema.width, read(data.x)
        changed = [self._changed(said_in(record), rng) for record in records]
        if all(new == said_in(record) for new, record in zip(changed, records, strict=True)):
            raise NotAssessable(f"no text has a character that {self.kind} could change")
        fitting = [replied(record, new, width) for record, new in zip(records, changed, strict=True)]
        left, all_of_it = sum(len(said_in(one)) for one in fitting), sum(map(len, changed))
        bench.progress.note("characters_kept", left / max(1, all_of_it))
        return data.with_x(write(fitting, width))

    def _changed(self, text: str, rng: np.random.Generator) -> str:
        """A text with its share of characters changed; one at least, where there is one."""
        places = [i for i, c in enumerate(text) if self._new(c) != c]
        chosen = set(rng.permutation(places)[: max(1, round(self.share * len(places)))]) if places else set()
        return "".join(self._new(c) if i in chosen else c for i, c in enumerate(text))

    def _new(self, character: str) -> str:
        if self.kind == "confusables":
            return ALIKE.get(character, character)
        if self.kind == "whitespace":
            return BLANK if character == " " else character
        return character + NOTHING
