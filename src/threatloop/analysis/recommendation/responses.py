"""What was measured of every set: risk per attack, accuracy, cost; by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from threatloop.analysis.exposure import Exposure, Place, exposures
from threatloop.analysis.recommendation.sets import Members, Universe
from threatloop.core.errors import InputError
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.numerics.arrays import Floats

Seeds = npt.NDArray[np.int64]
_DEFAULT_TOLERANCE: Final = 0.05


@dataclass(frozen=True)
class Means:
    """Over some seeds.

    Attributes:
        risk: (sets, attacks), NaN where not measured: the larger of the unchanged and the adaptive attacker's mean.
        accuracy: (sets,). log_cost: (sets,), log of the seconds relative to no defence; NaN where not measured.
        log_delay: the same of the seconds that answers take.
    """

    risk: Floats
    accuracy: Floats
    log_cost: Floats
    log_delay: Floats


@dataclass(frozen=True)
class Responses:
    """Everything measured on one target.

    Attributes:
        sets: measured sets; the first is empty, the target as it is.
        places: the attacks.
        tolerances: (attacks,), the metric's equivalence margin in units of risk.
        arms: (arms, sets, attacks, seeds), NaN where not measured.
        adaptive: (sets, attacks) bool: an attacker who knows the defences was measured.
        accuracy, seconds, delays: (sets, seeds), NaN where not measured; delays are seconds for 1,000 answers.
        chance: accuracy of the commonest class.
        suspect: attacks whose self-check failed somewhere.
    """

    target: str
    sets: tuple[Members, ...]
    places: tuple[Place, ...]
    tolerances: Floats
    arms: Floats
    adaptive: npt.NDArray[np.bool_]
    accuracy: Floats
    seconds: Floats
    delays: Floats
    chance: float
    suspect: frozenset[str]

    @property
    def seeds(self) -> int:
        return int(self.accuracy.shape[1])

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions with an attack, in the usual order."""
        found = {place.direction for place in self.places}
        return tuple(d for d in ("D→D", "D→M", "M→M", "M→D") if d in found)

    def by_seed(self, response: int) -> Floats | None:
        """(sets, seeds): the worse arm's risk of an attack, or accuracy (behind the attacks); None for costs."""
        if response < len(self.places):
            return np.asarray(np.fmax.reduce(self.arms[:, :, response], axis=0))
        return self.accuracy if response == len(self.places) else None

    def means(self, seeds: Seeds | None = None) -> Means:
        """Over these seeds, with repetitions; default: all."""
        chosen = np.arange(self.seeds) if seeds is None else seeds
        risk = np.fmax.reduce(_mean(self.arms[..., chosen]), axis=0)
        # What else runs on the machine only ever adds, so the quickest seed tells the cost.
        logs = [
            np.log(one / one[0]) for one in (np.fmin.reduce(s[:, chosen], axis=1) for s in (self.seconds, self.delays))
        ]
        return Means(risk, _mean(self.accuracy[:, chosen]), *logs)


def responses(record: RunRecord, rows: Iterable[Measurement], target: str, found: Universe) -> Responses:
    """What was measured of one target under every set.

    Raises:
        InputError: the run has no set of defences, no risk, or no accuracy on this target.
    """
    mine = exposures(record, (row for row in rows if row.target == target))
    places = tuple(sorted({one.place for one in mine}))
    if not found.elements or not any(one.condition for one in mine):
        raise InputError(
            f"target {target}: the run measured no sets of defences; add `defences:` to the spec "
            "(single ones, pairs, some larger sets) and run the audit again"
        )
    seeds = sorted({s for one in mine for s in one.seeds} | {v.seed for v in record.victims if v.target == target})
    sets = tuple(dict.fromkeys((frozenset[int](), *found.conditions.values())))
    at = {name: sets.index(members) for name, members in found.conditions.items()}
    shape = (len(sets), len(places), len(seeds))
    arms, adaptive = _arms(mine, at, places, seeds, shape)
    accuracy, seconds, delays = _victims(record, target, at, seeds, len(sets))
    if np.isnan(accuracy[0]).all():
        raise InputError(
            f"target {target}: the run has no test accuracy of the undefended model, so the use that defences cost "
            "is unknown; recommend works on classifiers"
        )
    tolerances = np.array([_tolerance(record, [e for e in mine if e.place == place]) for place in places])
    counts = record.targets.get(target, {}).get("class_counts") or [1] * int(
        record.targets.get(target, {}).get("classes", 2)
    )
    suspect = frozenset(one.place.attack for one in mine if one.suspect)
    chance = max(counts) / sum(counts)
    return Responses(target, sets, places, tolerances, arms, adaptive, accuracy, seconds, delays, chance, suspect)


def _arms(
    mine: Sequence[Exposure],
    at: Mapping[str, int],
    places: Sequence[Place],
    seeds: Sequence[int],
    shape: tuple[int, int, int],
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    names = list(dict.fromkeys(arm for one in mine for arm in one.arms))
    found, adaptive = np.full((len(names), *shape), np.nan), np.zeros(shape[:2], np.bool_)
    for one in mine:
        if one.condition not in at:
            continue
        row, column = at[one.condition], places.index(one.place)
        adaptive[row, column] |= one.adaptive or not one.condition
        for arm, values in one.arms.items():
            for seed, value in values.items():
                found[names.index(arm), row, column, seeds.index(seed)] = value
    return found, adaptive


def _victims(
    record: RunRecord, target: str, at: Mapping[str, int], seeds: Sequence[int], sets: int
) -> tuple[Floats, Floats, Floats]:
    accuracy, seconds, delays = (np.full((sets, len(seeds)), np.nan) for _ in range(3))
    for victim in record.victims:
        if victim.target == target and victim.condition in at:
            place = at[victim.condition], seeds.index(victim.seed)
            if victim.test_accuracy is not None:
                accuracy[place] = victim.test_accuracy
            if victim.seconds is not None and victim.seconds > 0:
                seconds[place] = victim.seconds
            if victim.answer_seconds is not None and victim.answer_seconds > 0:
                delays[place] = victim.answer_seconds
    return accuracy, seconds, delays


def _tolerance(record: RunRecord, of_attack: Sequence[Exposure]) -> float:
    """The metric's margin as a share of the way from the usual baseline to the worst case."""
    note = record.metrics.get(of_attack[0].place.metric)
    usual = [one.baseline for one in of_attack if math.isfinite(one.baseline)]
    if note is None or note.worst is None or not usual:
        return _DEFAULT_TOLERANCE
    room = abs(note.worst - float(np.mean(usual)))
    return min(note.margin / room, 1.0) if room else _DEFAULT_TOLERANCE


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is there; NaN where nothing is."""
    known = ~np.isnan(values)
    times = known.sum(-1)
    total: Floats = np.where(known, values, 0.0).sum(-1)
    return np.where(times > 0, total / np.maximum(times, 1), np.nan)
