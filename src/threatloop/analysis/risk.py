"""Risk: how far an attack moves a metric from its baseline towards the worst case."""

from __future__ import annotations

import math
from collections.abc import Sequence

from threatloop.core.errors import InputError
from threatloop.numerics.undefined import Undefined


def risk(
    value: float | Undefined, baseline: float | Undefined, worst: float, higher_is_worse: bool = True
) -> float | Undefined:
    """clip((value - baseline) / (worst - baseline), 0, 1).

    The formula has no direction of its own; `higher_is_worse` tells a baseline that already lies at or beyond the
    worst case (undefined: nothing is left to lose, so no attack can be graded) from a metric that falls.

    Args:
        value: the metric under attack.
        baseline: the metric under the attack's baseline, in the same seed.
        worst: the worst case that the metric declares.
        higher_is_worse: False for metrics such as accuracy, whose worst case lies below the baseline.

    Raises:
        InputError: a figure is NaN or infinite (an undefined figure is passed as `Undefined`).
    """
    if isinstance(value, Undefined):
        return value
    if isinstance(baseline, Undefined):
        return Undefined(f"its baseline is missing: {baseline.reason}")
    if not all(map(math.isfinite, (value, baseline, worst))):
        raise InputError(f"risk: value {value}, baseline {baseline}, worst {worst} must be finite")
    room = worst - baseline
    if (room if higher_is_worse else -room) <= 0:
        return Undefined(f"the baseline {baseline:g} already reaches the worst case {worst:g}")
    return min(1.0, max(0.0, (value - baseline) / room))


def risks(
    values: Sequence[float | Undefined],
    baselines: Sequence[float | Undefined],
    worst: float,
    higher_is_worse: bool = True,
) -> tuple[float | Undefined, ...]:
    """`risk` in each seed.

    Args:
        values: the metric under attack, one per seed.
        baselines: of the same seeds, in the same order.
        worst: the worst case that the metric declares.
        higher_is_worse: see `risk`.

    Raises:
        InputError: lengths differ, or a figure is NaN or infinite.
    """
    if len(values) != len(baselines):
        raise InputError(f"risks: {len(values)} values and {len(baselines)} baselines; pass one of each per seed")
    return tuple(risk(m, b, worst, higher_is_worse) for m, b in zip(values, baselines, strict=True))
