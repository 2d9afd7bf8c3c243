"""How many runs of words two texts share (BLEU)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from threatloop.numerics.common_words import words_of

LONGEST = 4


def word_f1(true: str, said: str) -> float:
    """F1 of the words of two texts, each as often as it stands there, in [0, 1]; order does not count."""
    a, b = Counter(words_of(true)), Counter(words_of(said))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


def bleu(true: str, said: str) -> float:
    """BLEU-4 of one text, in [0, 1]; runs of two words and more are counted with one added.

    Papineni et al. 2002, "BLEU"; Lin, Och 2004, "ORANGE", section 4 (smoothing of single sentences).
    """
    wanted, found = words_of(true), words_of(said)
    if not wanted or not found:
        return 0.0
    total = 0.0
    for length in range(1, LONGEST + 1):
        a, b = _runs(wanted, length), _runs(found, length)
        more = int(length > 1)
        shared, count = (a & b).total() + more, b.total() + more
        if not shared:
            return 0.0
        total += math.log(shared / count)
    return math.exp(total / LONGEST + min(0.0, 1 - len(wanted) / len(found)))


def _runs(words: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
