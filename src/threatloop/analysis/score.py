"""The composite score: the worst assessed risk per direction, combined. Definition and limits: ``docs/scoring.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from threatloop.analysis.chains import Enablement
from threatloop.analysis.estimates import Estimate
from threatloop.analysis.exposure import Exposure, exposures
from threatloop.analysis.index import REFUSED
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.intervals import seed_mean
from threatloop.numerics.undefined import Undefined

ALL: Final = ("D→D", "D→M", "M→M", "M→D")
UNIT: Final = (0.0, 1.0)


@dataclass(frozen=True)
class DirectionScore:
    """The worst assessed risk of one direction.

    Attributes:
        risk: of the attack that was worst on the choosing seeds, over the reporting seeds.
        attack, scenario, step, metric: of that attack; step 0 where nothing was assessed.
        chain: it was reached in a chain, further than by any attack alone.
        enabled_by: the earlier steps (from 1) of that chain that are shown to enable it.
        alone: the worst of the single attacks, over the same seeds, where a chain took its place.
        assessed: attacks that were compared.
        refused: the ingest gate stopped the attack; this is the honest victim.
        suspect: a self-check of the attack failed, so this is a lower bound.
        why: why there is no risk.
    """

    direction: str
    risk: Estimate
    attack: str = ""
    scenario: str = ""
    step: int = 0
    metric: str = ""
    chain: bool = False
    enabled_by: tuple[int, ...] = ()
    alone: Estimate | None = None
    assessed: int = 0
    refused: bool = False
    suspect: bool = False
    why: str = ""


@dataclass(frozen=True)
class Score:
    """The composite score of one target.

    Attributes:
        directions: all four.
        assessed: 1 − Π(1 − r) over the assessed directions.
        at_worst: the same with every direction that was not assessed at its worst case: the other end of the range.
        choosing, reporting: how many seeds chose the worst attacks, and how many give the figures.
        apart: these are different seeds; with a single seed they cannot be, and the score is biased upwards.
    """

    target: str
    directions: tuple[DirectionScore, ...]
    assessed: Estimate
    at_worst: Estimate
    choosing: int
    reporting: int
    apart: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """Directions that were not assessed."""
        return tuple(one.direction for one in self.directions if isinstance(one.risk.mean, Undefined))


def scores(record: RunRecord, rows: Iterable[Measurement], gifts: Sequence[Enablement]) -> tuple[Score, ...]:
    """The score of every target as it is, without the sets of defences that were tried.

    Args:
        gifts: the judged enablements of the run's chains.
    """
    found = exposures(record, [row for row in rows if not row.condition])
    streams = Streams(record.run_seed, ("score",))
    return tuple(
        score(target, [e for e in found if e.target == target], gifts, streams.child(target))
        for target in record.targets
    )


def score(target: str, found: Sequence[Exposure], gifts: Sequence[Enablement], streams: Streams) -> Score:
    """The score of one target from its exposures under one condition."""
    choosing, reporting = halves({seed for one in found for seed in one.seeds})
    picked = [_direction(d, found, gifts, choosing, reporting, streams) for d in ALL]
    known = [one.worst(choosing) for _, one in picked if one is not None]
    directions = tuple(direction for direction, _ in picked)
    assessed = combined([{s: v for s, v in one.items() if s in reporting} for one in known], streams.numpy("overall"))
    missing = any(isinstance(one.risk.mean, Undefined) for one in directions)
    at_worst = _certain() if missing else assessed
    return Score(target, directions, assessed, at_worst, len(choosing), len(reporting), choosing != reporting)


def halves(seeds: Iterable[int]) -> tuple[frozenset[int], frozenset[int]]:
    """The seeds that choose and those that report: every other one. A single seed reports alone, chosen by nothing."""
    ordered = sorted(seeds)
    if len(ordered) < 2:
        return frozenset(ordered), frozenset(ordered)
    return frozenset(ordered[::2]), frozenset(ordered[1::2])


def combined(risks: Sequence[Mapping[int, float]], rng: np.random.Generator) -> Estimate:
    """1 − Π(1 − r̄) with its interval.

    The interval is that of a mean over seeds, bootstrap-t where skewed, of the linearised score: T + Σ ∂T/∂r̄ (r − r̄)
    in each seed, so that directions measured in the same seeds keep their dependence.

    Args:
        risks: per direction, by seed; not empty.
    """
    if not risks or not all(risks):
        none = Undefined("no direction was assessed")
        return Estimate(none, none, 0)
    seeds = sorted({seed for one in risks for seed in one})
    means = np.array([np.mean(list(one.values())) for one in risks])
    total = float(1 - np.prod(1 - means))
    pseudo = np.full(len(seeds), total)
    for i, one in enumerate(risks):
        slope = float(np.prod(np.delete(1 - means, i))) * len(seeds) / len(one)
        pseudo += slope * np.array([one[s] - means[i] if s in one else 0.0 for s in seeds])
    inside = ((pseudo >= 0) & (pseudo <= 1)).all()
    interval = seed_mean(pseudo, rng, bounds=UNIT if inside else None)
    return Estimate(total, interval if isinstance(interval, Undefined) else interval.clipped(UNIT), len(seeds))


def _direction(
    direction: str,
    found: Sequence[Exposure],
    gifts: Sequence[Enablement],
    choosing: frozenset[int],
    reporting: frozenset[int],
    streams: Streams,
) -> tuple[DirectionScore, Exposure | None]:
    """The score of one direction, and the exposure that it rests on."""
    rng = streams.child(direction)
    here = [one for one in found if one.place.direction == direction]
    usable = [one for one in here if one.seeds & choosing and set(one.worst(choosing)) & reporting]
    if not usable:
        why = "no attack was assessed" if not here else "no attack has a figure in both halves of the seeds"
        return DirectionScore(direction, _nothing(why), assessed=len(here), why=why), None
    # Where a gate lets data through, what it refused says nothing of the attack.
    standing = [one for one in usable if not one.refused] or usable

    def badness(one: Exposure) -> float:
        return float(np.mean([value for seed, value in one.worst(choosing).items() if seed in choosing]))

    worst = max(standing, key=badness)
    singles = [one for one in standing if one.steps == 1]
    alone = max(singles, key=badness, default=None) if worst.steps > 1 else None
    place = worst.place
    return DirectionScore(
        direction,
        _over(worst, choosing, reporting, rng.numpy("worst")),
        place.attack,
        place.scenario,
        place.step,
        place.metric,
        worst.steps > 1,
        _enabled_by(worst, gifts),
        None if alone is None else _over(alone, choosing, reporting, rng.numpy("alone")),
        len(here),
        worst.refused,
        worst.suspect,
    ), worst


def _over(one: Exposure, choosing: frozenset[int], reporting: frozenset[int], rng: np.random.Generator) -> Estimate:
    values = [value for seed, value in sorted(one.worst(choosing).items()) if seed in reporting]
    return Estimate(float(np.mean(values)), seed_mean(values, rng, bounds=UNIT), len(values))


def _enabled_by(worst: Exposure, gifts: Sequence[Enablement]) -> tuple[int, ...]:
    """The earlier steps of the chain that are shown to enable this one."""
    place, found = worst.place, set()
    for gift in gifts:
        here = (gift.target, gift.scenario, gift.step) == (worst.target, place.scenario, place.step)
        shown = not isinstance(gift.effect, Undefined) and gift.effect.verdict == "amplifies"
        if here and shown and gift.gate_on != REFUSED:
            found.add(gift.removed)
    return tuple(sorted(found))


def _certain() -> Estimate:
    return Estimate(1.0, Undefined("a direction that was not assessed stands at its worst case"), 0)


def _nothing(why: str) -> Estimate:
    return Estimate(Undefined(why), Undefined(why), 0)
