"""The bootstrap distribution of Student's t, shared by intervals and p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatloop.numerics.arrays import Floats

REPLICATES = 4999


@dataclass(frozen=True)
class Studentised:
    """Resampled t statistics around the sample mean (Efron & Tibshirani 1993, ch. 12.5).

    Args:
        mean: sample mean.
        error: standard error of the mean, above 0.
        statistics: sorted (mean* - mean) / error*, shape (replicates,); -inf or +inf where a resample has no
            spread, which pushes intervals and p-values to the careful side.
    """

    mean: float
    error: float
    statistics: Floats

    def ends(self, level: float) -> tuple[float, float]:
        """Ends of the interval at `level`; infinite where resamples without spread reach the quantile."""
        tail = (1 - level) / 2
        low_t = float(np.quantile(self.statistics, tail, method="lower"))
        high_t = float(np.quantile(self.statistics, 1 - tail, method="higher"))
        return self.mean - high_t * self.error, self.mean - low_t * self.error

    def p_above(self, value: float) -> float:
        """One-sided p of "the true mean is at most `value`"."""
        observed = (self.mean - value) / self.error
        reached = self.statistics.size - int(np.searchsorted(self.statistics, observed, side="left"))
        return (1 + reached) / (1 + self.statistics.size)

    def p_below(self, value: float) -> float:
        """One-sided p of "the true mean is at least `value`"."""
        observed = (self.mean - value) / self.error
        reached = int(np.searchsorted(self.statistics, observed, side="right"))
        return (1 + reached) / (1 + self.statistics.size)

    def p_two_sided(self, value: float) -> float:
        """Two-sided p of "the true mean is `value`"."""
        return min(1.0, 2 * min(self.p_above(value), self.p_below(value)))


def studentise(values: Floats, rng: np.random.Generator, replicates: int = REPLICATES) -> Studentised:
    """Resample `values` (shape (k,), k >= 2, not all equal) with replacement.

    Resamples whose mean and spread both equal those of a constant at the sample mean count as t = 0.
    """
    k, mean = values.size, float(values.mean())
    # Resamples are columns: reductions over the long contiguous axis are several times faster.
    drawn = values[rng.integers(0, k, size=(k, replicates))]
    shift = drawn.mean(axis=0) - mean
    error = drawn.std(axis=0, ddof=1) / np.sqrt(k)
    # Compared exactly, since the spread of a constant resample can be rounding noise instead of zero.
    flat = (drawn == drawn[0]).all(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = np.where(flat, np.sign(shift) * np.inf, shift / error)
    statistics = np.where(np.isnan(statistics), 0.0, statistics)
    return Studentised(mean, float(values.std(ddof=1)) / np.sqrt(k), np.sort(statistics))
