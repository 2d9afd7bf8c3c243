"""Rank correlation of scores with severity, with intervals that know that CVEs of one dependency are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from threatloop.core.seeds import Streams
from threatloop.threats.severity.estimate import Estimate, Figure, Missing

RESAMPLES = 2000
FEWEST = 5
"""Groups below which there is no interval."""
METHOD = "percentile bootstrap over groups of dependencies"
Values = NDArray[np.float64]


def spearman(scores: Values, levels: NDArray[np.int64]) -> float:
    """Spearman's correlation, ties at their mean rank; 0 where one side does not vary, for then nothing is ordered."""
    if np.ptp(scores) == 0 or np.ptp(levels) == 0:
        return 0.0
    return float(stats.spearmanr(scores, levels).statistic)


def correlation(scores: Values, levels: NDArray[np.int64], groups: NDArray[np.int64], streams: Streams) -> Figure:
    """Spearman's correlation of scores with levels, interval by resampling whole groups.

    Of out-of-fold scores the interval takes the rankers as given. Where nothing can be learned, scores of overlapping
    training sets move together and it is too narrow (Bates, Hastie and Tibshirani 2023, arXiv 2104.00673): in 60
    generated worlds without an effect it missed zero 13 times, 10 of them below zero.
    """
    return _over_groups(lambda rows: spearman(scores[rows], levels[rows]), levels, groups, streams)


def difference(
    first: Values, second: Values, levels: NDArray[np.int64], groups: NDArray[np.int64], streams: Streams
) -> Figure:
    """How much better the first scores correlate than the second, on the same resamples of groups."""

    def gap(rows: NDArray[np.int64]) -> float:
        return spearman(first[rows], levels[rows]) - spearman(second[rows], levels[rows])

    return _over_groups(gap, levels, groups, streams)


def effective(groups: NDArray[np.int64]) -> float:
    """How many groups of equal size weigh as much as these: (Σ n)² / Σ n² (Kish)."""
    sizes = np.bincount(groups)
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def _over_groups(
    statistic: Callable[[NDArray[np.int64]], float],
    levels: NDArray[np.int64],
    groups: NDArray[np.int64],
    streams: Streams,
) -> Figure:
    names, inverse = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST:
        return Missing(f"{len(names)} groups of dependencies are too few for an interval (fewest: {FEWEST})")
    if np.ptp(levels) == 0:
        return Missing("all labelled vulnerabilities have the same severity")
    rows = np.arange(len(groups))

    def of(chosen: NDArray[np.int64]) -> float:
        return statistic(np.repeat(rows, np.bincount(chosen, minlength=len(names))[inverse]))

    found = stats.bootstrap(
        (np.arange(len(names)),),
        of,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=streams.numpy("bootstrap"),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    if not np.isfinite([low, high]).all():
        return Missing("the resamples do not vary")
    return Estimate(statistic(rows), low, high, len(names), "groups", METHOD)
