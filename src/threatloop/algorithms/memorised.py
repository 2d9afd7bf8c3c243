"""Runs of words that a set of texts holds, and how a reply is kept from repeating them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from threatloop.algorithms.bloom import Bloom
from threatloop.modality.conversation import Record, text_of

WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Runs:
    """Runs of words, in lower case and without what stands between them, so that style does not hide a repetition.

    Attributes:
        length: words of a run, ≥ 2.
        whole: the runs.
        openings: the runs without their last words.
    """

    length: int
    whole: Bloom
    openings: Bloom

    @classmethod
    def of(cls, records: Sequence[Record], length: int, false_rate: float) -> Runs:
        """Those of all that is said in these records."""
        texts = [_words(text_of(record)) for record in records]
        whole = {run for words in texts for run in _runs(words, length)}
        openings = {run for words in texts for run in _runs(words[:-1], length - 1)}
        return cls(length, Bloom.of(whole, false_rate), Bloom.of(openings, false_rate))

    def cut(self, prompt: Record, reply: str) -> str:
        """The reply up to the word that would complete a run, which may begin in the prompt."""
        before = _words(text_of(prompt))[1 - self.length :]
        words, places = list(before), list(WORDS.finditer(reply))
        for match in places:
            words.append(match.group().lower())
            if len(words) >= self.length and _joined(words[-self.length :]) in self.whole:
                return reply[: match.start()].rstrip()
        return reply

    def about_to(self, text: str) -> bool:
        """Whether the next word, or the one that the text breaks off in, may complete a run."""
        words, wanted = _words(text), self.length - 1
        ends = (words[-wanted:], words[-wanted - 1 : -1])
        return any(len(end) == wanted and _joined(end) in self.openings for end in ends)


def _words(text: str) -> list[str]:
    return [match.group().lower() for match in WORDS.finditer(text)]


def _runs(words: Sequence[str], length: int) -> list[str]:
    return [_joined(words[i : i + length]) for i in range(len(words) - length + 1)]


def _joined(words: Sequence[str]) -> str:
    return " ".join(words)
