"""How usual the bytes of a text are, by the runs of bytes in other texts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BYTES = 256


class ByteModel:
    """An interpolated model of bytes from those before them.

    Witten & Bell 1991, "The Zero-Frequency Problem", IEEE Transactions on Information Theory 37 (method C).

    Args:
        texts: to learn from.
        order: bytes of the longest run, ≥ 1.
    """

    def __init__(self, texts: Sequence[bytes], order: int = 4) -> None:
        self._order = order
        self._counts: dict[bytes, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for text in texts:
            for place, one in enumerate(text):
                for length in range(min(order, place + 1)):
                    self._counts[text[place - length : place]][one] += 1
        self._totals = {before: sum(after.values()) for before, after in self._counts.items()}

    def log_probs(self, text: bytes) -> npt.NDArray[np.float64]:
        """Log-probability of every byte after those before it, float64 (length,), in nats."""
        return np.array([math.log(self._share(text, place)) for place in range(len(text))])

    def _share(self, text: bytes, place: int) -> float:
        share = 1 / BYTES
        for length in range(min(self._order, place + 1)):
            before = text[place - length : place]
            if before not in self._totals:
                break
            after, total = self._counts[before], self._totals[before]
            share = (after.get(text[place], 0) + len(after) * share) / (total + len(after))
        return share
