"""Exposure of a secret: by how many bits a model narrows the search for it (Carlini et al. 2019, arXiv 1802.08232).

exposure = log2 |R| − log2 rank, the rank by loss among all |R| possible secrets (section 4.2). Nobody ranks 10⁹ of
them, so it is estimated from secrets that were never planted (section 4.3): by the rank among those, which cannot give
more than log2(their number + 1), or by a skew-normal distribution fitted to their losses.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, owens_t, stdtr, stdtrit

from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined

Floats = npt.NDArray[np.float64]
LARGEST_SKEWNESS = 0.95
"""A skew-normal distribution has less than .9953."""
FEWEST = 4
"""Other secrets by which a canary's losses are standardised."""


def by_rank(losses: Floats, others: Floats) -> Floats:
    """Exposure in bits by the rank among other secrets of the same canary; ties count half. Float64 (n,), ≥ 0.

    Args:
        losses: (n,), of the true secrets.
        others: (n, m), of secrets that were never planted; NaN where not asked, at least one number in each row.
    """
    counts = np.sum(~np.isnan(others), axis=1)
    better = np.sum(others < losses[:, None], axis=1) + 0.5 * np.sum(others == losses[:, None], axis=1)
    return np.asarray(np.log2(counts + 1) - np.log2(better + 1))


def by_model(losses: Floats, others: Floats, space: int) -> Floats | Undefined:
    """Exposure in bits by a skew-normal distribution of other secrets' losses, float64 (n,), from 0 to log2(space).

    Each canary has a mean and a deviation of its own; all share the skewness, since few numbers do not tell it. That
    mean and deviation come from m numbers is allowed for as in a prediction interval: without skewness this is
    Student's t with m − 1 degrees of freedom, so that few others give few bits rather than bits by accident.

    Args:
        losses: (n,), of the true secrets.
        others: (n, m), as for `by_rank`.
        space: how many secrets are possible.
    """
    counts = np.sum(~np.isnan(others), axis=1)
    if not len(losses) or counts.min() < FEWEST:
        return Undefined(f"fewer than {FEWEST} secrets that were never planted were tried in a canary")
    mean = np.nanmean(others, axis=1)
    deviation = np.nanstd(others, axis=1, ddof=1)
    if not (deviation > 0).all():
        return Undefined("the model finds all secrets equally likely")
    standard = (others - mean[:, None]) / deviation[:, None]
    skewness = float(np.nanmean(standard**3)) / float(np.nanmean(standard**2)) ** 1.5
    predicted = ndtri(stdtr(counts - 1, (losses - mean) / (deviation * np.sqrt(1 + 1 / counts))))
    below = skew_normal_cdf(predicted, skewness)
    return np.asarray(-np.log2(np.clip(below, 1 / space, 1.0)))


def skew_normal_cdf(z: Floats, skewness: float) -> Floats:
    """P(Z ≤ z) of the skew-normal distribution of mean 0, deviation 1 and this skewness, which is kept below .95."""
    size = min(abs(skewness), LARGEST_SKEWNESS) ** (2 / 3)
    delta = math.copysign(math.sqrt(math.pi / 2 * size / (size + ((4 - math.pi) / 2) ** (2 / 3))), skewness)
    shape = delta / math.sqrt(1 - delta**2)
    scale = 1 / math.sqrt(1 - 2 * delta**2 / math.pi)
    x = (np.clip(z, -40.0, 40.0) + scale * delta * math.sqrt(2 / math.pi)) / scale
    return np.asarray(np.clip(ndtr(x) - 2 * owens_t(x, shape), 0.0, 1.0))


def per_doubling(exposure: Floats, repetitions: npt.NDArray[np.int64], level: float = 0.95) -> Interval | Undefined:
    """Bits by which exposure rises when a canary is planted twice as often: slope of a line, with its t interval.

    Args:
        exposure: (n,), of one canary each.
        repetitions: (n,), ≥ 1.
        level: nominal coverage in (0, 1).
    """
    x = np.log2(repetitions.astype(np.float64))
    if len(np.unique(x)) < 2 or len(x) < 3:
        return Undefined("canaries are not planted in different numbers")
    centred = x - x.mean()
    spread = float((centred**2).sum())
    slope = float((centred * exposure).sum()) / spread
    residual = exposure - exposure.mean() - slope * centred
    error = math.sqrt(float((residual**2).sum()) / (len(x) - 2) / spread)
    half = float(stdtrit(len(x) - 2, (1 + level) / 2)) * error
    return Interval(slope - half, slope + half, level, "t of a slope")
