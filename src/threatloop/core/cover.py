"""Questions that hide an attack among those of a benign client."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

COVER = 9
"""Benign questions for each one of the attack's. On digits the monitors still found most searches among four."""


def own_share(queries: int) -> int:
    """Of so many questions in all those that the attack keeps for itself, at least 1."""
    return max(1, queries // (COVER + 1))


def own_budgets(attack: object) -> dict[str, int]:
    """The budgets of questions that an attack states, each cut to its own share; never below what fields allow."""
    stated = {name: getattr(attack, name, None) for name in ("queries", "queries_per_record")}
    return {name: max(2, own_share(n)) for name, n in stated.items() if n is not None}


class Cover:
    """Records that a benign client might ask about, none twice while there are others.

    Args:
        held: the attacker's own records of the victim's kind, (n, ...), n ≥ 1.
        rng: their order, and the places of the attack's questions among them.
        times: benign questions for each of the attack's, ≥ 1.
    """

    def __init__(self, held: npt.NDArray[Any], rng: np.random.Generator, times: int = COVER) -> None:
        self._held, self._rng, self._times = held, rng, times
        self._left = np.empty(0, np.int64)

    def among(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the server sees: the questions (m, ...) in their order, at random places among ``times * m`` others."""
        total = len(x) * (self._times + 1)
        while len(self._left) < total - len(x):
            self._left = np.r_[self._left, self._rng.permutation(len(self._held))]
        others, self._left = self._held[self._left[: total - len(x)]], self._left[total - len(x) :]
        if others.dtype == np.uint8 and x.dtype != np.uint8:
            # Bytes and floats in [0, 1] are two ways to ask about the same image.
            others = others / np.float32(255)
        seen = np.empty((total, *x.shape[1:]), x.dtype)
        mine = np.zeros(total, np.bool_)
        mine[self._rng.choice(total, len(x), replace=False)] = True
        seen[mine], seen[~mine] = x, others.astype(x.dtype)
        return seen
