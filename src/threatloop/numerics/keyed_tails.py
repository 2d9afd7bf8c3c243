"""Exact tests over secret keys: how likely is evidence this strong under a key drawn at random, *given the data*?

The statistic is a sum of independent terms, one for each part of the key. Its distribution over keys is computed by
convolution, so no assumption about the data enters: constant images, copies of one image and other owners' marks leave
the false-positive rate as it is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binom

Floats = NDArray[np.float64]

CELLS = 8192
"""Grid cells over the range of the statistic."""
PHASES = 512
"""Values that stand for a uniform phase."""
RELIABLE = 1e-9
"""Below it rounding errors of the transform show, and Chernoff's bound, which is never too small, takes over."""


def sign_tail(weights: Floats, observed: float) -> float:
    """P(sum of ± weights >= observed) over fair signs. ``weights``: (k,), k >= 1."""
    return _tail(np.abs(weights), observed, np.array([-1.0, 1.0]))


def phase_tail(weights: Floats, observed: float) -> float:
    """P(sum of weights · cos(phase) >= observed) over uniform phases. ``weights``: (k,), k >= 1."""
    return _tail(np.abs(weights), observed, np.cos((np.arange(PHASES) + 0.5) * 2 * np.pi / PHASES))


def phase_tails(terms: int, observed: Floats) -> Floats:
    """`phase_tail` of ``terms`` equal weights of 1 for many observed values (n,)."""
    return np.asarray(np.exp(np.interp(observed, *_even_phases(terms))), dtype=np.float64)


def bits_tail(right: NDArray[np.int64], bits: int) -> Floats:
    """P(at least so many of ``bits`` fair bits are right), exact binomial, for each count in ``right``."""
    return np.asarray(binom.sf(right - 1, bits, 0.5), dtype=np.float64)


@lru_cache(maxsize=8)
def _even_phases(terms: int) -> tuple[Floats, Floats]:
    """A grid of sums of ``terms`` cosines, and the logarithm of their tails."""
    grid = np.linspace(-terms, terms, 301)
    return grid, np.log([phase_tail(np.ones(terms), float(value)) for value in grid])


def _tail(weights: Floats, observed: float, values: Floats) -> float:
    """P(sum of weights · value >= observed), the values drawn evenly and independently from ``values`` in [-1, 1]."""
    total, kept = float(weights.sum()), weights[weights > 0]
    if total <= 0:
        return 1.0
    scale, half = (CELLS // 2 - 1 - len(kept)) / total, CELLS // 2
    spectrum = np.ones(half + 1, dtype=np.complex128)
    for weight in kept:
        cells = np.rint(scale * weight * values).astype(np.int64) % CELLS
        spectrum *= np.fft.rfft(np.bincount(cells, minlength=CELLS) / len(values))
    mass = np.roll(np.fft.irfft(spectrum, CELLS), half)
    # Two standard deviations of the terms' rounding to cells, in favour of the null hypothesis.
    reached = int(np.floor(scale * observed - 2 * np.sqrt(len(kept) / 12))) + half
    exact = float(mass[max(reached, 0) :].sum()) if reached < CELLS else 0.0
    return min(exact, 1.0) if exact > RELIABLE else min(RELIABLE, _chernoff(kept / total, observed / total, values))


def _chernoff(weights: Floats, observed: float, values: Floats) -> float:
    """The least of E[exp(t · sum)] / exp(t · observed) over t >= 0."""

    def log_bound(log_t: float) -> float:
        exponents = np.exp(log_t) * weights[:, None] * values
        top = exponents.max(axis=1, keepdims=True)
        return float((top[:, 0] + np.log(np.exp(exponents - top).mean(axis=1))).sum() - np.exp(log_t) * observed)

    found = minimize_scalar(log_bound, bounds=(-3.0, 12.0), method="bounded")
    return float(np.exp(max(min(float(found.fun), 0.0), -690.0)))
