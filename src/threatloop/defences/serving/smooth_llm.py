"""Many changed copies of a prompt, and what most of them are answered."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, TextFilter, draws_of
from threatloop.modality.conversation import Record, read

LETTERS = tuple(string.ascii_letters + string.digits + string.punctuation + " ")


class SmoothLLM(TextFilter):
    """Asks ``copies`` randomly changed copies of the user's last question, and gives an answer of the majority.

    Whether most copies are refused decides; the answer is drawn from those that agree. Adversarial suffixes are
    brittle, so that few changed characters undo them; questions that are forbidden in plain words, and many-shot or
    role-play prompts, are not. Next-token log-probabilities are the mean over the copies' probabilities. Costs
    ``copies`` answers for each, and answers to questions that are misread.

    Robey, Wong, Hassani, Pappas 2023, "SmoothLLM: Defending Large Language Models Against Jailbreaking Attacks", arXiv
    2310.03684, algorithm 1; 10 copies and 10 % as in its figures.

    Attributes:
        copies: of each prompt, ≥ 1.
        share: of the question's characters that are changed, in (0, 1].
        change: ``swap`` characters anywhere, a ``patch`` of neighbouring ones, or ``insert`` new ones between them.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="SmoothLLM",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Robey, Wong, Hassani, Pappas 2023, SmoothLLM: Defending Large Language Models Against Jailbreaking "
        "Attacks, arXiv 2310.03684, algorithm 1",
        atlas=("AML.M0015", "AML.M0020"),
        randomised=True,
        reads_inputs=True,
    )

    copies: int = Field(default=10, ge=1, le=1000)
    share: float = Field(default=0.1, gt=0, le=1)
    change: Literal["swap", "patch", "insert"] = "swap"

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:
        return _Smoothed(speaking, self, draws_of(scores, own, streams))


@dataclass(frozen=True)
class _Smoothed:
    inner: Speaking
    by: SmoothLLM
    draws: np.random.Generator

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        from threatloop.algorithms.filtered_replies import patiently
        from threatloop.algorithms.judges import refuses

        said = patiently(self.inner, self._copies(x), tokens, temperature, seed)
        refused = refuses(said).reshape(len(x), self.by.copies)
        found = list[str]()
        for row, votes in enumerate(refused):
            agreeing = np.flatnonzero(votes == (votes.mean() >= 0.5))
            found.append(said[row * self.by.copies + int(self.draws.choice(agreeing))])
        return found

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        from threatloop.algorithms.filtered_replies import patiently_next

        copies = self.by.copies
        many = None if bias is None else [one for one in bias for _ in range(copies)]
        told = patiently_next(self.inner, self._copies(x), many, np.repeat(x, copies, axis=0))
        told = told.reshape(len(x), copies, -1)
        return np.asarray(np.logaddexp.reduce(told, axis=1) - np.float32(np.log(copies)), np.float32)

    def _copies(self, x: npt.NDArray[Any]) -> list[Record]:
        from threatloop.algorithms.filtered_replies import with_last_question

        return [with_last_question(record, self._changed) for record in read(x) for _ in range(self.by.copies)]

    def _changed(self, text: str) -> str:
        letters, count = list(text), max(1, round(self.by.share * len(text)))
        new = self.draws.choice(LETTERS, count)
        if not letters:
            return text
        if self.by.change == "insert":
            for place, letter in zip(-np.sort(-self.draws.choice(len(letters), count, False)), new, strict=True):
                letters.insert(int(place), str(letter))
            return "".join(letters)
        if self.by.change == "patch":
            start = int(self.draws.integers(len(letters) - count + 1))
            places = np.arange(start, start + count)
        else:
            places = self.draws.choice(len(letters), count, False)
        for place, letter in zip(places, new, strict=True):
            letters[place] = str(letter)
        return "".join(letters)
