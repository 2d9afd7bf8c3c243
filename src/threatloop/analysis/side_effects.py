"""What sets of defences do to the victims themselves: accuracy on held-out records, and whether they stay usable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from threatloop.analysis.effects import Contrast, Effect, judge_family
from threatloop.analysis.estimates import Estimate, estimate
from threatloop.core.measurement import RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

UTILITY_MARGIN: Final = 0.02
"""A loss of accuracy below this counts as none."""


@dataclass(frozen=True)
class SideEffect:
    """The cost of one set of defences on one target, over the screening seeds of a study or all seeds.

    Attributes:
        on, off: test accuracy with the set and without.
        effect: accuracy lost, positive where the set costs accuracy; one family per target.
        seconds_on, seconds_off: what making a victim took.
        delay_on, delay_off: seconds that 1,000 answers take, the median over seeds of the quickest try in each.
        usable: False where the accuracy falls below halfway between chance and the undefended victim's.
    """

    target: str
    condition: str
    on: Estimate
    off: Estimate
    effect: Effect | Undefined
    seconds_on: float | None
    seconds_off: float | None
    usable: bool
    delay_on: float | None = None
    delay_off: float | None = None

    @property
    def slower(self) -> float | None:
        """How many times as long answers take."""
        return None if self.delay_on is None or not self.delay_off else self.delay_on / self.delay_off


def side_effects(record: RunRecord, streams: Streams) -> tuple[SideEffect, ...]:
    """Every condition on every target, against the target as it is."""
    most = record.study.screening_seeds if record.study else None
    accuracy: dict[tuple[str, str], dict[int, float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    delays: dict[tuple[str, str], list[float]] = {}
    for one in record.victims:
        place = (one.target, one.condition)
        if one.test_accuracy is not None and (most is None or one.seed < most):
            accuracy.setdefault(place, {})[one.seed] = one.test_accuracy
        if one.seconds is not None:
            seconds.setdefault(place, []).append(one.seconds)
        if one.answer_seconds is not None:
            delays.setdefault(place, []).append(one.answer_seconds)
    time = {place: float(np.mean(found)) for place, found in seconds.items()}
    delay = {place: float(np.median(found)) for place, found in delays.items()}
    found: list[SideEffect] = []
    for target in record.targets:
        found += [
            replace(one, delay_on=delay.get((target, one.condition)), delay_off=delay.get((target, "")))
            for one in _of_target(record, target, accuracy, time, streams.child("side effects", target))
        ]
    return tuple(found)


def _of_target(
    record: RunRecord,
    target: str,
    accuracy: Mapping[tuple[str, str], Mapping[int, float]],
    seconds: Mapping[tuple[str, str], float],
    streams: Streams,
) -> list[SideEffect]:
    usual = accuracy.get((target, ""), {})
    lost = {}
    for condition in record.conditions:
        values = accuracy.get((target, condition), {})
        lost[condition] = tuple(usual[s] - values[s] for s in sorted(usual.keys() & values.keys()))
    contrasts = [Contrast(name, values, UTILITY_MARGIN, (-1.0, 1.0)) for name, values in lost.items() if values]
    effects = judge_family(contrasts, streams.numpy("judge"))
    nothing = Undefined("no seed has the accuracy both with the defences and without")
    return [
        SideEffect(
            target,
            condition,
            estimate(accuracy.get((target, condition), {}), "rate", streams, f"on {condition}"),
            estimate(usual, "rate", streams, f"off {condition}"),
            effects.get(condition, nothing),
            seconds.get((target, condition)),
            seconds.get((target, "")),
            _usable(record, target, accuracy.get((target, condition), {}), usual),
        )
        for condition in record.conditions
    ]


def _usable(record: RunRecord, target: str, with_it: Mapping[int, float], usual: Mapping[int, float]) -> bool:
    classes = record.targets.get(target, {}).get("classes")
    if not with_it or not usual or not isinstance(classes, int) or classes < 2:
        return True
    chance = 1 / classes
    return float(np.mean(list(with_it.values()))) >= (chance + float(np.mean(list(usual.values())))) / 2
