"""Sign-flip permutation test of a paired mean difference (Fisher 1935; Pitman 1937)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from threatloop.numerics.arrays import Floats, finite_vector
from threatloop.numerics.undefined import Undefined

EXACT_UP_TO = 32
"""Largest k enumerated exactly: the 2^k sums are counted from two sorted halves of 2^(k/2) each."""


def _signed_sums(values: Floats) -> Floats:
    sums: Floats = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return np.sort(sums)


def _exact(values: Floats, observed: float) -> float:
    left, right = _signed_sums(values[::2]), _signed_sums(values[1::2])
    # A flip of every sign mirrors the sums, so the lower tail is as large as the upper one.
    reached = right.size - np.searchsorted(right, observed - left, side="left")
    return min(1.0, 2.0 * float(reached.sum()) / (left.size * right.size))


def sign_flip_p(
    differences: ArrayLike, rng: np.random.Generator | None = None, replicates: int = 19_999
) -> float | Undefined:
    """Two-sided p in (0, 1] of "differences are symmetric around 0"; the statistic is |sum|.

    Exact for k <= 32 (the smallest p is 2 / 2^k), otherwise Monte Carlo with the observed signs counted in.

    Args:
        differences: one per independent seed, shape (k,).
        rng: draws the signs; needed for k > 32 only.
        replicates: Monte Carlo draws.

    Raises:
        InputError: not a finite vector.
    """
    values = np.abs(finite_vector(differences, "differences"))
    if values.size == 0:
        return Undefined("there are no seeds")
    signed = abs(float(np.sum(np.asarray(differences, dtype=np.float64))))
    # Sums that are equal on paper differ by rounding; they count as reached.
    observed = signed - 1e-9 * float(values.sum())
    if observed <= 0:
        return 1.0
    if values.size <= EXACT_UP_TO:
        return _exact(values, observed)
    if rng is None:
        return Undefined(f"{values.size} seeds need a random generator for a Monte Carlo test")
    signs = rng.integers(0, 2, size=(replicates, values.size)) * 2.0 - 1.0
    return float(1 + (np.abs(signs @ values) >= observed).sum()) / (1 + replicates)
