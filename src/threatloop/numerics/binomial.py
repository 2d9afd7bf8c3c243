"""Intervals for rates: independent trials, and trials that come in clusters (one cluster per seed)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv, ndtri, stdtrit

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import finite_vector, fraction
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined

_NO_TRIALS = Undefined("there are no trials")


def _check_counts(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        raise InputError(f"successes {successes} of n {n}: expected 0 <= successes <= n")


def wilson(successes: int, n: int, level: float = 0.95) -> Interval | Undefined:
    """Score interval of a rate from n independent trials (Wilson 1927).

    Close to nominal on average; can fall a little short for single rates near 0 or 1, where
    `clopper_pearson` never does.

    Raises:
        InputError: successes outside 0..n, level outside (0, 1).
    """
    _check_counts(successes, n)
    if n == 0:
        return _NO_TRIALS
    z = float(ndtri((1 + fraction(level, "level")) / 2))
    rate, shrink = successes / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At the ends the algebra gives exactly 0 and 1; floating point does not.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high, level, "Wilson score")


def binomial_ends(successes: float, n: float, tail: float) -> tuple[float, float]:
    """Exact ends that each miss with probability at most `tail`; fractional counts are allowed."""
    low = 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes >= n else float(betainccinv(successes + 1, n - successes, tail))
    return low, high


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval | Undefined:
    """Exact interval of a rate from n independent trials: covers at least `level` (Clopper & Pearson 1934).

    Raises:
        InputError: successes outside 0..n, level outside (0, 1).
    """
    _check_counts(successes, n)
    if n == 0:
        return _NO_TRIALS
    low, high = binomial_ends(successes, n, (1 - fraction(level, "level")) / 2)
    return Interval(low, high, level, "Clopper-Pearson")


def clustered_binomial(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Interval of a rate whose trials share a seed, hence are not independent (Korn & Graubard 1998).

    The exact binomial interval at an *effective* number of trials: all trials over the design effect (variance of the
    pooled rate between seeds over its binomial variance, at least 1), reduced by (z / t)² for the few seeds that
    estimate it. Where every trial of every seed agrees, the design effect cannot be estimated and is taken as 1:
    for outcomes that a gate makes bimodal over seeds, use the seeds as trials instead.

    Args:
        successes: successes of each seed, shape (k,).
        trials: trials of each seed, shape (k,); seeds without trials are left out.
        level: nominal coverage in (0, 1).

    Raises:
        InputError: shapes differ, non-finite entries, successes outside 0..trials, level out of range.
    """
    hits, counts = finite_vector(successes, "successes"), finite_vector(trials, "trials")
    if hits.shape != counts.shape or (hits < 0).any() or (hits > counts).any():
        raise InputError("successes and trials: expected one of each per seed with 0 <= successes <= trials")
    hits, counts = hits[counts > 0], counts[counts > 0]
    if hits.size == 0:
        return _NO_TRIALS
    if hits.size == 1:
        return Undefined("one seed shows no spread between seeds")
    fraction(level, "level")
    k, total = hits.size, float(counts.sum())
    rate = float(hits.sum()) / total
    spread = k / (k - 1) * float(((hits - rate * counts) ** 2).sum()) / total**2
    binomial = rate * (1 - rate) / total
    effect = max(1.0, spread / binomial) if binomial > 0 else 1.0
    quantile = (1 + level) / 2
    effective = total / effect * float(ndtri(quantile) / stdtrit(k - 1, quantile)) ** 2
    low, high = binomial_ends(rate * effective, effective, (1 - level) / 2)
    method = "seed-clustered Clopper-Pearson (Korn-Graubard)"
    return Interval(min(low, rate), max(high, rate), level, method)


def share_of_odd_seeds(odd: int, k: int, tail: float) -> float:
    """Largest share of seeds that may behave differently when `odd` of `k` did, missed with probability `tail`."""
    return float(np.clip(binomial_ends(odd, k, tail)[1], 0.0, 1.0))
