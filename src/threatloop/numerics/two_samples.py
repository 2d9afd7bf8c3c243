"""Two independent samples: Welch's interval and equivalence test, and a studentised permutation test."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from threatloop.numerics.arrays import Floats, finite_vector, fraction
from threatloop.numerics.equivalence import check_margin
from threatloop.numerics.figures import Interval
from threatloop.numerics.means import is_constant
from threatloop.numerics.undefined import Undefined


def welch(before: ArrayLike, after: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Interval of mean(after) − mean(before), variances not assumed equal (Welch 1947).

    Args:
        before, after: one value per independent seed, shapes (k,) and (m,).
        level: nominal coverage in (0, 1).

    Raises:
        InputError: not finite vectors, level out of range.
    """
    fraction(level, "level")
    found = _error(finite_vector(before, "before"), finite_vector(after, "after"))
    if isinstance(found, Undefined):
        return found
    difference, error, freedom = found
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Interval(difference - half, difference + half, level, "Welch's t")


def welch_equivalence(before: ArrayLike, after: ArrayLike, delta: float) -> float | Undefined:
    """p of "the means differ by delta or more": two one-sided Welch tests; small values show equivalence.

    Raises:
        InputError: not finite vectors, delta not above 0.
    """
    margin = check_margin(delta)
    found = _error(finite_vector(before, "before"), finite_vector(after, "after"))
    if isinstance(found, Undefined):
        return found
    difference, error, freedom = found
    return float(stdtr(freedom, (abs(difference) - margin) / error))


def permutation_p(
    before: ArrayLike, after: ArrayLike, rng: np.random.Generator, replicates: int = 9_999
) -> float | Undefined:
    """Two-sided p in (0, 1] of "both samples are alike"; the statistic is |Welch's t| (Janssen 1997).

    Studentised, so that unequal variances do not make it reject. Monte Carlo with the observed split counted in.

    Raises:
        InputError: not finite vectors.
    """
    a, b = finite_vector(before, "before"), finite_vector(after, "after")
    if min(a.size, b.size) < 2:
        return Undefined(f"a test of two runs needs at least 2 seeds in each, got {a.size} and {b.size}")
    pooled = np.concatenate([a, b])
    if is_constant(pooled):
        return 1.0
    shuffled = rng.permuted(np.tile(pooled, (replicates, 1)), axis=1)
    drawn = _statistic(shuffled[:, : a.size], shuffled[:, a.size :])
    observed = float(_statistic(a[None], b[None])[0])
    return float(1 + (drawn >= observed - 1e-9).sum()) / (1 + replicates)


def _statistic(a: Floats, b: Floats) -> Floats:
    """|Welch's t| by row; without any spread within the samples their difference is beyond doubt."""
    difference = np.abs(b.mean(1) - a.mean(1))
    error = np.sqrt(a.var(1, ddof=1) / a.shape[1] + b.var(1, ddof=1) / b.shape[1])
    found: Floats = difference / np.maximum(error, 1e-12 * np.maximum(1.0, difference))
    return np.minimum(found, 1e9)


def _error(a: Floats, b: Floats) -> tuple[float, float, float] | Undefined:
    """Difference of the means, its standard error, Welch-Satterthwaite degrees of freedom."""
    if min(a.size, b.size) < 2:
        return Undefined(f"an interval over two runs needs at least 2 seeds in each, got {a.size} and {b.size}")
    if is_constant(a) and is_constant(b):
        return Undefined("all seeds of either run give one value, so the spread over seeds is unknown")
    parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    freedom = parts.sum() ** 2 / (parts**2 / [a.size - 1, b.size - 1]).sum()
    return float(b.mean() - a.mean()), float(np.sqrt(parts.sum())), float(freedom)
