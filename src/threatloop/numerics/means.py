"""Intervals for the mean over seeds: Student's t, bootstrap-t, and a rule that picks between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats, finite_vector, fraction
from threatloop.numerics.binomial import share_of_odd_seeds
from threatloop.numerics.figures import Interval
from threatloop.numerics.studentised import REPLICATES, Studentised, studentise
from threatloop.numerics.undefined import Undefined

NEARLY_CONSTANT = "bounded, nearly constant over seeds"
SKEWED = 0.5
"""|sample skewness| above which the t interval alone is not trusted (it covers 90 % on exponential data at k = 12)."""

Bounds = tuple[float, float]


def is_constant(values: Floats) -> bool:
    """Whether all values agree to within rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def skewness(values: ArrayLike) -> float | Undefined:
    """Sample skewness g1 (third central moment over the cubed population deviation)."""
    array = finite_vector(values, "values")
    if array.size < 3:
        return Undefined(f"skewness needs at least 3 values, got {array.size}")
    if is_constant(array):
        return Undefined("all values are equal")
    centred = array - array.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def is_skewed(values: Floats) -> bool:
    """Whether bootstrap-t must widen the t interval and confirm the p-values."""
    asymmetry = skewness(values)
    return not isinstance(asymmetry, Undefined) and abs(asymmetry) > SKEWED


def mean_t(values: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Student's t interval of a mean; exact for normal data.

    Args:
        values: one per independent seed, shape (k,).
        level: nominal coverage in (0, 1).

    Raises:
        InputError: not a finite vector, level out of range.
    """
    array = finite_vector(values, "values")
    fraction(level, "level")
    if array.size < 2:
        return Undefined(f"an interval over seeds needs at least 2, got {array.size}")
    if is_constant(array):
        return Undefined(f"all {array.size} seeds give {array[0]:g}, so the spread over seeds is unknown")
    half = float(stdtrit(array.size - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(array.size))
    mean = float(array.mean())
    return Interval(mean - half, mean + half, level, "t")


def paired_t(differences: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Student's t interval of a mean difference between two arms of the same seeds.

    Args:
        differences: on minus off in each seed, shape (k,).
        level: nominal coverage in (0, 1).

    Raises:
        InputError: not a finite vector, level out of range.
    """
    interval = mean_t(differences, level)
    if isinstance(interval, Undefined):
        return interval
    return Interval(interval.low, interval.high, level, "paired t")


def bootstrap_t(
    values: ArrayLike, rng: np.random.Generator, level: float = 0.95, replicates: int = REPLICATES
) -> Interval | Undefined:
    """Studentised bootstrap interval of a mean (Efron & Tibshirani 1993, ch. 12.5).

    Args:
        values: one per independent seed, shape (k,).
        rng: draws the resamples.
        level: nominal coverage in (0, 1).
        replicates: number of resamples.

    Raises:
        InputError: not a finite vector, level out of range.
    """
    array = finite_vector(values, "values")
    fraction(level, "level")
    if array.size < 2:
        return Undefined(f"an interval over seeds needs at least 2, got {array.size}")
    if is_constant(array):
        return Undefined(f"all {array.size} seeds give {array[0]:g}, so the spread over seeds is unknown")
    return _finite(studentise(array, rng, replicates), level)


def _finite(distribution: Studentised, level: float) -> Interval | Undefined:
    low, high = distribution.ends(level)
    if np.isfinite([low, high]).all():
        return Interval(low, high, level, "bootstrap-t")
    return Undefined("almost all seeds give the same value, so many resamples have no spread")


def mostly_constant(values: ArrayLike, bounds: Bounds, level: float = 0.95) -> Interval | Undefined:
    """Interval of a mean from seeds that (nearly) all give one value, using nothing but the metric's bounds.

    The share of seeds that may give another value has an exact binomial upper limit (26 % at 0 of 12 and 95 %);
    those seeds are put at either bound. It covers at least `level` whatever the distribution, so it is wide, and for
    a rate of 1.0 in all of 12 seeds it gives [.735, 1].

    Args:
        values: one per independent seed, shape (k,), inside `bounds`.
        bounds: smallest and largest value that the metric can take.
        level: nominal coverage in (0, 1).

    Raises:
        InputError: not a finite vector, a value outside bounds, level out of range.
    """
    array = within(finite_vector(values, "values"), bounds)
    if array.size == 0:
        return Undefined("there are no seeds")
    share, usual = odd_share(array, (1 - fraction(level, "level")) / 2)
    low, high = (usual + share * (end - usual) for end in bounds)
    return Interval(low, high, level, NEARLY_CONSTANT)


def odd_share(values: Floats, tail: float) -> tuple[float, float]:
    """Upper limit of the share of seeds that leave the commonest value, and that value."""
    found, counts = np.unique(values, return_counts=True)
    usual = float(found[counts.argmax()])
    odd = 0 if is_constant(values) else values.size - int(counts.max())
    return share_of_odd_seeds(odd, values.size, tail), usual


def within(values: Floats, bounds: Bounds) -> Floats:
    """`values`, checked against `bounds`.

    Raises:
        InputError: a value lies outside, or the bounds are not in order.
    """
    low, high = bounds
    if not low < high or ((values < low - 1e-9) | (values > high + 1e-9)).any():
        raise InputError(f"values: expected all inside bounds [{low:g}, {high:g}]; check the metric's range")
    return values


def seed_mean(
    values: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.95,
    bounds: Bounds | None = None,
    replicates: int = REPLICATES,
) -> Interval | Undefined:
    """The interval for a mean over seeds, by a fixed rule.

    1. All seeds equal: `mostly_constant` where bounds are known (a rate of 1.0 in every seed is not certainty),
       undefined otherwise.
    2. |skewness| <= .5: Student's t.
    3. Otherwise the smallest interval that holds both the t and the bootstrap-t interval: t alone is too short on
       skewed data, bootstrap-t alone on heavy tails (92 % on t with 3 degrees of freedom at k = 12).
    4. Skewed because nearly all seeds are equal, so that bootstrap-t has no finite ends: as in 1.

    Args:
        values: one per independent seed, shape (k,).
        rng: draws the resamples in case 3.
        level: nominal coverage in (0, 1).
        bounds: smallest and largest value that the metric can take, such as (0, 1) for a rate and (-1, 1) for a
            difference of rates; ends are cut to it.
        replicates: number of resamples in case 3.

    Raises:
        InputError: not a finite vector, a value outside bounds, level out of range.
    """
    array = finite_vector(values, "values")
    if bounds is not None:
        within(array, bounds)
    student = mean_t(array, level)
    if array.size < 2:
        return student
    if isinstance(student, Undefined):
        return student if bounds is None else mostly_constant(array, bounds, level)
    if not is_skewed(array):
        return student.clipped(bounds)
    resampled = bootstrap_t(array, rng, level, replicates)
    if isinstance(resampled, Undefined):
        return resampled if bounds is None else mostly_constant(array, bounds, level)
    low, high = min(student.low, resampled.low), max(student.high, resampled.high)
    return Interval(low, high, level, "t and bootstrap-t, outer ends").clipped(bounds)
