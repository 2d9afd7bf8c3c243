"""Exposure: the risk of every attack in every seed, with and without sets of defences.

A cell is attacked twice, by the unchanged attacker and by one who knows the defences. Its risk is the larger of the
two means: the larger of two noisy values in each seed would be biased upwards.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from threatloop.analysis.findings import failed_checks
from threatloop.analysis.index import ACCEPTED, REFUSED
from threatloop.analysis.risk import risk
from threatloop.core.measurement import ADAPTIVE, ATTACK, Measurement, RunRecord
from threatloop.numerics.undefined import Undefined

FEWEST_ACCEPTED = 2
"""Seeds that a gate must let through before the figures behind it count, given acceptance."""


@dataclass(frozen=True, order=True)
class Place:
    """One attack at one step of one scenario, graded by its headline metric.

    Attributes:
        direction: ``D→D``, ``D→M``, ``M→D`` or ``M→M``.
    """

    direction: str
    scenario: str
    step: int
    attack: str
    metric: str


@dataclass(frozen=True)
class Exposure:
    """What one attack does to one target under one condition.

    Attributes:
        steps: of the scenario; above 1 in a chain.
        arms: risk by seed in every arm: ``attack``, and ``adaptive`` with its further forms.
        baseline: mean over the seeds.
        refused: the ingest gate stopped the attack, so this is the honest victim.
        suspect: a self-check of the attack failed: the risk is a lower bound.
    """

    target: str
    condition: str
    place: Place
    steps: int
    arms: Mapping[str, Mapping[int, float]] = field(repr=False)
    baseline: float
    refused: bool = False
    suspect: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether an attacker who knows the defences was measured too."""
        return any(arm != ATTACK for arm in self.arms)

    @property
    def seeds(self) -> frozenset[int]:
        """The seeds with a risk in any arm."""
        return frozenset(seed for values in self.arms.values() for seed in values)

    def worst(self, seeds: Collection[int] | None = None) -> Mapping[int, float]:
        """The risk by seed in the arm whose mean over these seeds (default: all) is the largest."""

        def badness(values: Mapping[int, float]) -> float:
            found = [value for seed, value in values.items() if seeds is None or seed in seeds]
            return float(np.mean(found)) if found else -1.0

        return max(self.arms.values(), key=badness)


def exposures(record: RunRecord, rows: Iterable[Measurement]) -> tuple[Exposure, ...]:
    """The exposure of every target to every attack under every condition, first laps, where a risk is defined."""
    cells: dict[tuple[str, str, Place], list[Measurement]] = defaultdict(list)
    first: dict[str, str] = {}
    for row in rows:
        if row.lap == 1 and row.arm == ATTACK:
            first.setdefault(row.attack, row.metric)
        if row.lap == 1 and row.arm.startswith((ATTACK, ADAPTIVE)) and _is_headline(record, first, row):
            place = Place(row.direction, row.scenario, row.step, row.attack, row.metric)
            cells[row.target, row.condition, place].append(row)
    found = (_exposure(record, *key, group) for key, group in cells.items())
    return tuple(one for one in found if one is not None)


def _is_headline(record: RunRecord, first: Mapping[str, str], row: Measurement) -> bool:
    metrics = record.attacks.get(row.attack, {}).get("metrics") or [first.get(row.attack)]
    return bool(row.metric == metrics[0])


def _exposure(
    record: RunRecord, target: str, condition: str, place: Place, rows: Sequence[Measurement]
) -> Exposure | None:
    note = record.metrics.get(place.metric)
    if note is None or note.worst is None:
        return None
    rows = [row for row in rows if _finite(row.value) and _finite(row.baseline)]
    accepted = {row.seed for row in rows if row.gate == ACCEPTED}
    refused = any(row.gate == REFUSED for row in rows) and len(accepted) < FEWEST_ACCEPTED
    side = REFUSED if refused else ACCEPTED
    usual = [row.baseline for row in rows if row.baseline is not None]
    if not usual:
        return None
    higher = note.worst >= float(np.mean(usual))
    arms: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.gate not in ("", side) or row.value is None or row.baseline is None:
            continue
        found = risk(row.value, row.baseline, note.worst, higher)
        if not isinstance(found, Undefined):
            arms.setdefault(row.arm, {})[row.seed] = found
    if not arms:
        return None
    suspect = bool(failed_checks(record, target, place.scenario, place.attack))
    return Exposure(target, condition, place, rows[0].steps, arms, float(np.mean(usual)), refused, suspect)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
