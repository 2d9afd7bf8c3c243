"""The interval of a median without assumptions about the distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

from threatloop.numerics.arrays import finite_vector, fraction
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined


def median_interval(values: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Order statistics between which the median lies with at least this probability (Thompson 1936).

    Raises:
        InputError: non-finite entries, level outside (0, 1).
    """
    ordered = np.sort(finite_vector(values, "values"))
    n, tail = len(ordered), (1 - fraction(level, "level")) / 2
    below = bdtr(np.arange(n // 2), n, 0.5) if n else np.zeros(0)
    outside = int((below <= tail).sum())
    if outside == 0:
        return Undefined(f"{n} values are too few for an interval of their median")
    return Interval(float(ordered[outside - 1]), float(ordered[n - outside]), level, "order statistics")
