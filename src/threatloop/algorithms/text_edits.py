"""Changes of a text, word by word, that may bring its embedding nearer to another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Words = tuple[str, ...]
START = ""
"""Stands before the first word and behind the last."""
PLACES = 3
"""Where a word is tried, of those where it goes best with its neighbours."""


class Neighbours:
    """Which words stand beside which, counted in texts of the attacker."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._pairs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            words = [START, *text.split(), START]
            for one, other in pairwise(words):
                self._pairs[one][other] += 1

    def fit(self, before: str, word: str, behind: str) -> float:
        """How well a word stands between two others, in nats; larger is better."""
        return self._likely(before, word) + self._likely(word, behind)

    def likely_after(self, word: str) -> list[str]:
        """Words that stood behind this one, the commonest first."""
        return [other for other, _ in self._pairs[word].most_common(PLACES) if other]

    def _likely(self, one: str, other: str) -> float:
        following = self._pairs.get(one)
        total = following.total() if following else 0
        return float(np.log(((following[other] if following else 0) + 0.01) / (total + 1.0)))


def edits(
    words: Words, wanted: Sequence[str], unwanted: Sequence[str], known: Neighbours, rng: np.random.Generator
) -> list[Words]:
    """Other texts: wanted words put in, or in the place of others; words left out, exchanged and moved.

    Args:
        words: of the text, at least one.
        wanted: words of which there may be too few, the most wanted first.
        unwanted: words of the text of which there may be too many, the least wanted first.
        known: what goes with what.
        rng: draws among those that are possible.

    Returns:
        Each once, and not ``words`` themselves; those that are best founded first.
    """
    found: list[Words] = []
    padded = (START, *words, START)
    out = [i for word in unwanted for i in range(len(words)) if words[i] == word][: 2 * PLACES]
    for word in wanted:
        for i in out:
            found.append((*words[:i], word, *words[i + 1 :]))
        places = sorted(range(len(words) + 1), key=lambda i: -known.fit(padded[i], word, padded[i + 1]))[:PLACES]
        found += [(*words[:i], word, *words[i:]) for i in places]
        found += [(*words[:i], word, after, *words[i:]) for i in places[:1] for after in known.likely_after(word)]
        found += [(*words[:i], word, *words[i + 1 :]) for i in rng.integers(len(words), size=PLACES)]
    if len(words) > 1:
        found += [(*words[:i], *words[i + 1 :]) for i in out]
        found += [_swapped(words, i, i + 1) for i in range(len(words) - 1)]
        found += [_swapped(words, int(i), int(j)) for i, j in rng.integers(len(words), size=(4 * PLACES, 2))]
        found += [(*words[:i], *words[i + 1 :]) for i in range(len(words))]
        moves = rng.integers(len(words), size=(4 * PLACES, 2))
        found += [_moved(words, int(i), int(j), 1 + k % PLACES) for k, (i, j) in enumerate(moves)]
    return list(dict.fromkeys(one for one in found if one != words))


def _swapped(words: Words, one: int, other: int) -> Words:
    found = list(words)
    found[one], found[other] = found[other], found[one]
    return tuple(found)


def _moved(words: Words, start: int, end: int, length: int) -> Words:
    run, left = words[start : start + length], [*words[:start], *words[start + length :]]
    return (*left[:end], *run, *left[end:])
