"""A mean over seeds with its interval, and paired differences that wait for the verdict of their family."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

import numpy as np

from threatloop.analysis.effects import Contrast, Effect, judge_family
from threatloop.core.measurement import Measurement, MetricNote
from threatloop.core.seeds import Streams
from threatloop.numerics.intervals import Interval, clustered_binomial, seed_mean
from threatloop.numerics.means import NEARLY_CONSTANT, Bounds
from threatloop.numerics.undefined import Undefined

UNIT_BOUNDS: Final[Mapping[str, Bounds]] = {"rate": (0.0, 1.0), "auc": (0.0, 1.0)}
"""Smallest and largest value of the units that have them."""
_SMALLEST_MARGIN: Final = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: in the metric's unit.
        interval: 95 %, over seeds.
        n: seeds with a value.
    """

    mean: float | Undefined
    interval: Interval | Undefined
    n: int


@dataclass(frozen=True)
class Paired:
    """Differences between two arms of the same seeds.

    Attributes:
        differences: on minus off per seed, in the metric's unit.
        margin: equivalence margin δ of the metric.
        bounds: smallest and largest possible difference; None if unbounded.
        harm: +1 where a larger value is worse for the defender, −1 where a smaller one is, 0 for figures that only
            describe.
    """

    differences: tuple[float, ...]
    margin: float
    bounds: Bounds | None
    harm: int


class Draft(Protocol):
    """Anything that carries a pair and, once its family is judged, an effect."""

    @property
    def paired(self) -> Paired: ...
    @property
    def effect(self) -> Effect | Undefined: ...


D = TypeVar("D", bound=Draft)
PENDING: Final = Undefined("its family has not been judged yet")


def judged(drafts: Sequence[D], rng: np.random.Generator) -> tuple[D, ...]:
    """The drafts as one family, each with its effect; those without a single pair stay out and say so.

    Means and intervals of the effects are in the metric's own orientation; the verdict looks from the defender's side.
    """
    family = [(i, draft) for i, draft in enumerate(drafts) if draft.paired.differences]
    effects = judge_family([_contrast(str(i), draft.paired) for i, draft in family], rng)
    nothing = Undefined("no seed has both values")
    return tuple(
        _with_effect(draft, upright(effects[str(i)], draft.paired.harm) if str(i) in effects else nothing)
        for i, draft in enumerate(drafts)
    )


def estimate(
    values: Mapping[int, float], unit: str, streams: Streams, name: str, trials: Mapping[int, int] | None = None
) -> Estimate:
    """Mean and interval over seeds.

    Args:
        values: by seed, finite.
        unit: of the metric; decides the bounds.
        streams: of the analysis; ``name`` picks this figure's own stream.
        trials: records behind each seed's value. Where nearly all seeds give one value, the spread between them says
            nothing; a rate then takes the interval of its trials, clustered by seed.
    """
    if not values:
        none = Undefined("no seed has a value")
        return Estimate(none, none, 0)
    found = list(values.values())
    bounds = _fitting(UNIT_BOUNDS.get(unit), found)
    inside = seed_mean(found, streams.numpy(name), bounds=bounds)
    if isinstance(inside, Interval) and inside.method == NEARLY_CONSTANT and trials is not None:
        inside = _of_trials(values, trials) or inside
    return Estimate(float(np.mean(found)), inside, len(found))


def trials_of(rows: Iterable[Measurement]) -> dict[int, int]:
    """Records behind each seed's value."""
    return {row.seed: row.n for row in rows}


def _of_trials(values: Mapping[int, float], trials: Mapping[int, int]) -> Interval | None:
    """The seed-clustered binomial interval, where the values are shares of more than one trial each."""
    counts = [trials.get(seed, 0) for seed in values]
    hits = [value * n for value, n in zip(values.values(), counts, strict=True)]
    if min(counts) <= 1 or len(counts) < 2 or any(abs(hit - round(hit)) > 1e-6 for hit in hits):
        return None
    found = clustered_binomial([round(hit) for hit in hits], counts)
    return found if isinstance(found, Interval) else None


def paired(on: Mapping[int, float], off: Mapping[int, float], note: MetricNote, harm: int) -> Paired:
    """On minus off in every seed that has both."""
    differences = tuple(on[seed] - off[seed] for seed in sorted(on.keys() & off.keys()))
    unit = UNIT_BOUNDS.get(note.unit)
    bounds = None if unit is None else _fitting((unit[0] - unit[1], unit[1] - unit[0]), differences)
    return Paired(differences, max(note.margin, _SMALLEST_MARGIN), bounds, harm)


def by_seed(rows: Iterable[Measurement]) -> dict[int, float]:
    """The computed values by seed."""
    return {row.seed: row.value for row in rows if row.value is not None and math.isfinite(row.value)}


def baselines(rows: Iterable[Measurement]) -> dict[int, float]:
    """The baselines' values by seed."""
    return {row.seed: row.baseline for row in rows if row.baseline is not None and math.isfinite(row.baseline)}


def not_computed(rows: Iterable[Measurement]) -> tuple[tuple[str, int], ...]:
    """Why seeds have no value, and how many; the commonest reason first."""
    reasons = Counter(_reason(row) for row in rows if row.value is None or not math.isfinite(row.value))
    return tuple(reasons.most_common())


def harm_of(note: MetricNote, usual: Sequence[float]) -> int:
    """The side on which the metric's worst case lies, seen from its usual (baseline) values."""
    if note.worst is None or not usual:
        return 0
    return int(np.sign(note.worst - float(np.mean(usual))))


def _reason(row: Measurement) -> str:
    return row.undefined or ("no reason was recorded" if row.value is None else f"the value is {row.value}")


def _fitting(bounds: Bounds | None, values: Sequence[float]) -> Bounds | None:
    if bounds is None or not all(bounds[0] <= value <= bounds[1] for value in values):
        return None
    return bounds


def _contrast(name: str, pair: Paired) -> Contrast:
    if pair.harm >= 0:
        return Contrast(name, pair.differences, pair.margin, pair.bounds)
    return Contrast(name, tuple(-d for d in pair.differences), pair.margin, pair.bounds)


def upright(effect: Effect, harm: int) -> Effect:
    """An effect that was judged from the defender's side, turned to the metric's own orientation."""
    if harm >= 0:
        return effect
    mean = effect.mean if isinstance(effect.mean, Undefined) else -effect.mean
    interval = effect.interval
    if not isinstance(interval, Undefined):
        interval = replace(interval, low=-interval.high, high=-interval.low)
    return replace(effect, mean=mean, interval=interval)


def _with_effect(draft: D, effect: Effect | Undefined) -> D:
    return replace(draft, effect=effect)  # type: ignore[type-var]  # every draft is a frozen dataclass
