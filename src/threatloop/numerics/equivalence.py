"""Two one-sided tests of equivalence (Schuirmann 1987) and Benjamini-Hochberg q-values (1995)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import finite_vector
from threatloop.numerics.means import Bounds, is_constant, within
from threatloop.numerics.undefined import Undefined


def check_margin(delta: float) -> float:
    """`delta` if it is a usable equivalence margin.

    Raises:
        InputError: not finite or not above 0.
    """
    if not (np.isfinite(delta) and delta > 0):
        raise InputError(f"delta: {delta} is not allowed; the equivalence margin must be above 0")
    return float(delta)


def tost(differences: ArrayLike, delta: float, bounds: Bounds | None = None) -> float | Undefined:
    """p of "the mean difference lies outside ±delta"; small values show equivalence.

    Equal differences in all k seeds leave the t test without a spread. With known bounds the exact bound then is
    (1 - s)^k, where s is the least share of differing seeds that would put the mean at the margin.

    Args:
        differences: on minus off in each seed, shape (k,).
        delta: margin in units of the metric, above 0.
        bounds: smallest and largest difference that the metric allows.

    Raises:
        InputError: not a finite vector, delta not above 0, a difference outside bounds.
    """
    values, margin = finite_vector(differences, "differences"), check_margin(delta)
    if values.size < 2:
        return Undefined(f"equivalence needs at least 2 seeds, got {values.size}")
    mean = float(values.mean())
    if is_constant(values):
        if bounds is None:
            return Undefined(f"all {values.size} seeds differ by {mean:g}, so the spread over seeds is unknown")
        return _constant(float(within(values, bounds)[0]), values.size, margin, bounds)
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    return float(stdtr(values.size - 1, (abs(mean) - margin) / error))


def _constant(value: float, k: int, margin: float, bounds: Bounds) -> float:
    if abs(value) >= margin:
        return 1.0
    worst = 0.0
    for limit, bound in ((margin, bounds[1]), (-margin, bounds[0])):
        reachable = abs(bound) > abs(limit) and bound * limit > 0
        share = (limit - value) / (bound - value) if reachable else 1.0
        worst = max(worst, (1 - share) ** k)
    return worst


def bh_q(p_values: Sequence[float | Undefined | None]) -> tuple[float | Undefined, ...]:
    """Benjamini-Hochberg q-values; entries without a p-value are left out of the family and stay undefined.

    Args:
        p_values: one per member of a family declared before the run, each in [0, 1], None or `Undefined`.

    Returns:
        One entry per input, in its order.

    Raises:
        InputError: a p-value outside [0, 1].
    """
    known = [(place, p) for place, p in enumerate(p_values) if p is not None and not isinstance(p, Undefined)]
    if any(not 0 <= p <= 1 for _, p in known):
        raise InputError("p_values: expected numbers in [0, 1], None or Undefined")
    missing = Undefined("there is no p-value")
    result: list[float | Undefined] = [p if isinstance(p, Undefined) else missing for p in p_values]
    least = 1.0
    for rank, (place, p) in zip(range(len(known), 0, -1), sorted(known, key=lambda one: -one[1]), strict=True):
        least = min(least, p * len(known) / rank)
        result[place] = least
    return tuple(result)
