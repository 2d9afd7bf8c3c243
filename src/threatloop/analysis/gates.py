"""Outcomes behind a gate: bimodal, so reported as a pass rate and as values given acceptance, never as one mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import finite_vector, fraction
from threatloop.numerics.intervals import Interval, clopper_pearson, seed_mean
from threatloop.numerics.means import Bounds
from threatloop.numerics.undefined import Undefined


@dataclass(frozen=True)
class GateSummary:
    """How often a gate lets an attack through, and what follows where it does.

    Args:
        n: seeds.
        accepted: seeds in which the gate accepted.
        pass_rate: accepted / n, in [0, 1].
        pass_interval: exact binomial interval of the pass rate, seeds as trials.
        value: mean of the later values over accepted seeds only.
        value_interval: of that mean, over accepted seeds.
    """

    n: int
    accepted: int
    pass_rate: float | Undefined
    pass_interval: Interval | Undefined
    value: float | Undefined
    value_interval: Interval | Undefined


def gate_summary(
    accepted: Sequence[bool],
    values: Sequence[float | Undefined],
    rng: np.random.Generator,
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> GateSummary:
    """Summarise one gate over seeds.

    Args:
        accepted: whether the gate accepted, one per seed.
        values: the later value of each seed; entries of refused seeds are not looked at, since they are
            *gate-determined*.
        rng: for the bootstrap of skewed values.
        bounds: smallest and largest value that the metric can take; None if unbounded.
        level: of both intervals, in (0, 1).

    Raises:
        InputError: lengths differ, an accepted seed has a non-finite value, level out of range.
    """
    if len(accepted) != len(values):
        raise InputError(f"gate: {len(accepted)} decisions and {len(values)} values; pass one of each per seed")
    n, passed = len(accepted), sum(map(bool, accepted))
    rate = passed / n if n else Undefined("there are no seeds")
    kept = [value for value, yes in zip(values, accepted, strict=True) if yes]
    mean, interval = _given_acceptance(kept, rng, bounds, fraction(level, "level"))
    return GateSummary(n, passed, rate, clopper_pearson(passed, n, level), mean, interval)


def _given_acceptance(
    kept: Sequence[float | Undefined], rng: np.random.Generator, bounds: Bounds | None, level: float
) -> tuple[float | Undefined, Interval | Undefined]:
    if not kept:
        nothing = Undefined("the gate accepted in no seed")
        return nothing, nothing
    numbers = [value for value in kept if not isinstance(value, Undefined)]
    # Averaging the rest would hide a seed in which the attack passed but its harm is unknown.
    if len(numbers) < len(kept):
        missing = Undefined(f"{len(kept) - len(numbers)} of {len(kept)} accepted seeds have no value")
        return missing, missing
    array = finite_vector(numbers, "values given acceptance")
    return float(array.mean()), seed_mean(array, rng, level, bounds)
