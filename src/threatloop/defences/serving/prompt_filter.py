"""Replies that repeat the system prompt."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, TextFilter
from threatloop.modality.conversation import Record


class PromptFilter(TextFilter):
    """Withholds a reply that has a run of ``words`` words of the system prompt that it was given behind.

    Case and punctuation are passed over. Costs answers that must quote the prompt, such as an address that stands in
    it. What is translated, spelled in another way, or interleaved with signs is not known again, as Zhang et al. show.

    Zhang, Carlini, Ippolito 2024, "Effective Prompt Extraction from Language Models", arXiv 2307.06865, section 6 (a
    filter of 5-grams).

    Attributes:
        words: of a run, ≥ 2.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="System-prompt filter",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Zhang, Carlini, Ippolito 2024, Effective Prompt Extraction from Language Models, arXiv 2307.06865, "
        "section 6",
        atlas=("AML.M0020",),
    )

    words: int = Field(default=5, ge=2, le=100)

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        from threatloop.algorithms.filtered_replies import WITHHELD, Edited

        def edit(record: Record, reply: str) -> str:
            return WITHHELD if self.repeats(record, reply) else reply

        return Edited(speaking, edit)

    def repeats(self, record: Record, reply: str) -> bool:
        """Whether a reply has such a run of a system turn of the conversation; of a document it never has."""
        from threatloop.numerics.common_words import words_of

        if isinstance(record, str):
            return False
        said = f" {' '.join(words_of(reply))} "
        told = [words_of(turn.content) for turn in record if turn.role == "system"]
        runs = (words[i : i + self.words] for words in told for i in range(len(words) - self.words + 1))
        return any(f" {' '.join(run)} " in said for run in runs)
