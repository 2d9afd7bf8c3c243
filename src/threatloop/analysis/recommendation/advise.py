"""The advice on one target: the front, the recommended set, how far the predictions can be trusted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from threatloop.analysis.recommendation.front import (
    Limits,
    choice,
    limits,
    objectives,
    pareto,
    refuse,
    regret,
    usable,
)
from threatloop.analysis.recommendation.outlook import Outlook, outlook
from threatloop.analysis.recommendation.predict import LEVEL, Predictor
from threatloop.analysis.recommendation.responses import responses
from threatloop.analysis.recommendation.search import candidates
from threatloop.analysis.recommendation.sets import EXHAUSTIVE, Members, Universe, universe
from threatloop.analysis.recommendation.validate import Validation, validate
from threatloop.core.errors import InputError
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.arrays import Floats
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined

_BROKEN: Final = 1e6
_MOST_DRAWN: Final = 400
MOST_SHOWN: Final = 24
"""Sets of the front that get intervals and are listed."""


@dataclass(frozen=True)
class Figure:
    """A prediction with what a re-audit with as many seeds would probably measure."""

    value: float | Undefined
    interval: Interval | Undefined


@dataclass(frozen=True)
class Option:
    """One set of defences.

    Attributes:
        label: its defences.
        spec: the same as a spec names them.
        measured: it was measured, not only predicted.
        risk: by direction.
        unresolved: directions in which no attacker who knows the defences was measured; the risk there is that without
            defences at least.
        score: 1 − Π(1 − risk).
        accuracy: on test records. cost: seconds of training relative to no defence.
        regret: what the choice rests on: risks added up, and the share of the accuracy that is lost.
        usable: accuracy and cost are within the limits.
    """

    label: str
    spec: tuple[str | dict[str, Any], ...]
    measured: bool
    risk: Mapping[str, Figure]
    unresolved: tuple[str, ...]
    score: float | Undefined
    accuracy: Figure
    cost: Figure
    regret: float
    usable: bool


@dataclass(frozen=True)
class Advice:
    """What to turn on together on one target.

    Attributes:
        measured, looked_at: how many sets.
        exhaustive: all admissible sets up to ``most`` defences were looked at.
        limits: what a set must keep.
        undefended: the target as it is.
        chosen: the recommended set; may be no defence.
        front: no set is better in one respect without being worse in another; the least regret first.
        size: of the whole front, of which ``front`` lists the first.
        validations: on held-out combinations, and on held-out pairs.
        suspect: attacks whose self-check failed: their risks are lower bounds.
        missing: directions without an attack.
        better: in how many of the draws the chosen set has less regret than no defence; 1.0 is all of them.
        cloud: accuracy and mean risk of the sets that were looked at, thinned.
    """

    target: str
    seeds: int
    defences: tuple[str, ...]
    measured: int
    looked_at: int
    exhaustive: bool
    most: int
    limits: Limits
    undefended: Option
    chosen: Option
    front: tuple[Option, ...]
    size: int
    validations: tuple[Validation, ...]
    suspect: tuple[str, ...]
    missing: tuple[str, ...]
    better: float | Undefined
    cloud: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Wishes:
    """What the user asks of a set.

    Attributes:
        min_accuracy: floor, in [0, 1].
        max_cost: seconds of training relative to no defence, at least 1.
        most: defences in a set; default: as many as the largest measured set has, at least two. Of larger ones the
            run has nothing to say.
    """

    min_accuracy: float | None = None
    max_cost: float | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 1:
            raise InputError(f"min-accuracy {self.min_accuracy:g}: needs a share from 0 to 1, such as 0.9")
        if self.max_cost is not None and not self.max_cost >= 1:
            raise InputError(f"max-train-cost {self.max_cost:g}: needs at least 1, the cost of no defence; such as 3x")
        if self.most is not None and self.most < 1:
            raise InputError(f"max-size {self.most}: needs at least 1 defence in a set")


def advise(
    record: RunRecord,
    rows: Iterable[Measurement],
    target: str,
    exclusions: Mapping[str, Collection[str]],
    wishes: Wishes = Wishes(),  # frozen
) -> Advice:
    """Which set of defences to turn on.

    Args:
        target: of the run.
        exclusions: by catalogue name of a defence, the names that it cannot be combined with.

    Raises:
        InputError: nothing to choose from, or no set within the limits; then the nearest is named.
    """
    found = universe(record, exclusions)
    measured = responses(record, rows, target, found)
    streams = Streams(record.run_seed, ("recommend", target))
    predictor = Predictor(found, measured)
    base = outlook(predictor, [frozenset()])
    undefended = float(base.accuracy[0])
    kept = limits(measured, undefended, wishes.min_accuracy, wishes.max_cost)
    most = min(wishes.most or max(found.largest, 2), len(found.elements))

    def score(members: Members) -> Floats:
        one = outlook(predictor, [members])
        found: Floats = objectives(one, [len(members)])[0] + (0.0 if usable(one, kept)[0] else _BROKEN)
        return found

    sets = candidates(found, measured.sets, most, score, streams.integer("search", 31))
    everything = outlook(predictor, sets)
    allowed = np.flatnonzero(usable(everything, kept))
    if not allowed.size:
        raise refuse([found.label(one) for one in sets], everything, kept)
    sizes, regrets = [len(one) for one in sets], regret(everything, measured, undefended)
    best = allowed[pareto(objectives(everything, sizes)[allowed])]
    chosen = choice(everything, sizes, regrets, best.tolist())
    order = sorted(best.tolist(), key=lambda i: (i != chosen, regrets[i]))
    shown = order[:MOST_SHOWN]
    listed = [sets[i] for i in shown]
    options = _options(found, predictor, [*listed, frozenset()], kept, undefended, streams)
    return Advice(
        target,
        measured.seeds,
        tuple(one.label for one in found.elements),
        len(measured.sets) - 1,
        len(sets),
        found.count(most) <= EXHAUSTIVE,
        most,
        kept,
        options[-1],
        options[0],
        options[:-1],
        len(best),
        validate(found, measured, streams.child("validation")),
        tuple(sorted(measured.suspect)),
        tuple(d for d in ("D→D", "D→M", "M→M", "M→D") if d not in measured.directions),
        _better(predictor, sets[chosen], undefended, streams),
        _cloud(everything),
    )


def _options(
    found: Universe, predictor: Predictor, sets: Sequence[Members], kept: Limits, undefended: float, streams: Streams
) -> tuple[Option, ...]:
    middle, drawn = outlook(predictor, sets), outlook(predictor, sets, streams.numpy("draws"))
    regrets = regret(middle, predictor.measured, undefended)
    allowed, directions, seeds = usable(middle, kept), predictor.measured.directions, predictor.measured.seeds
    return tuple(
        Option(
            found.label(members),
            tuple(found.elements[j].spec for j in sorted(members)),
            members in predictor.measured.sets,
            {d: _figure(middle.risk[i, k], drawn.risk[:, i, k], seeds) for k, d in enumerate(directions)},
            tuple(d for k, d in enumerate(directions) if middle.unresolved[i, k]),
            _combined(middle, i),
            _figure(middle.accuracy[i], drawn.accuracy[:, i], seeds),
            _figure(middle.cost[i], drawn.cost[:, i], seeds),
            float(regrets[i]),
            bool(allowed[i]),
        )
        for i, members in enumerate(sets)
    )


def _better(predictor: Predictor, members: Members, undefended: float, streams: Streams) -> float | Undefined:
    """Share of the draws in which this set has less regret than no defence."""
    if not members:
        return Undefined("no defence is recommended")
    if predictor.measured.seeds < 2:
        return Undefined("one seed has no spread")
    drawn = outlook(predictor, [members, frozenset()], streams.numpy("draws"))
    regrets = regret(drawn, predictor.measured, undefended)
    return float((regrets[:, 0] < regrets[:, 1]).mean())


def _cloud(found: Outlook) -> tuple[tuple[float, float], ...]:
    known = np.isfinite(found.risk).any(-1) & np.isfinite(found.accuracy)
    points = np.stack([found.accuracy[known], np.nanmean(found.risk[known], axis=-1)], axis=1)
    return tuple((float(a), float(b)) for a, b in points[:: max(1, len(points) // _MOST_DRAWN)])


def _combined(found: Outlook, i: int) -> float | Undefined:
    known = found.risk[i][np.isfinite(found.risk[i])]
    return float(1 - np.prod(1 - known)) if known.size else Undefined("no risk was measured")


def _figure(value: float, draws: Floats, seeds: int) -> Figure:
    if not np.isfinite(value):
        none = Undefined("it was not measured")
        return Figure(none, none)
    if seeds < 2:
        return Figure(float(value), Undefined(f"an interval over seeds needs at least 2, got {seeds}"))
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(
        float(value),
        Interval(min(float(low), float(value)), max(float(high), float(value)), LEVEL, "bootstrap over seeds"),
    )
