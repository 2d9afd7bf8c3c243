"""The advice on one target: the front, the recommended set, how far the predictions can be trusted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from threatloop.analysis.recommendation.advice import Advice, Figure, Option, Wishes
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
from threatloop.analysis.recommendation.validate import validate
from threatloop.analysis.score import ALL
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.arrays import Floats
from threatloop.numerics.figures import Interval
from threatloop.numerics.undefined import Undefined

_BROKEN: Final = 1e6
_MOST_DRAWN: Final = 400
MOST_SHOWN: Final = 24
"""Sets of the front that get intervals and are listed."""


def advise(
    record: RunRecord,
    rows: Iterable[Measurement],
    target: str,
    exclusions: Mapping[str, Collection[str]],
    wishes: Wishes = Wishes(),  # noqa: B008  # frozen
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
    undefended = float(outlook(predictor, [frozenset()]).accuracy[0])
    kept = limits(measured, undefended, wishes.min_accuracy, wishes.max_cost, wishes.max_delay)
    most = min(wishes.most or max(found.largest, 2), len(found.elements))
    sets = _looked_at(predictor, kept, most, streams)
    everything = outlook(predictor, sets)
    order = _ordered_front(predictor, sets, everything, kept, undefended)
    listed = [sets[i] for i in order[:MOST_SHOWN]]
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
        len(order),
        validate(found, measured, streams.child("validation")),
        tuple(sorted(measured.suspect)),
        tuple(d for d in ALL if d not in measured.directions),
        _better(predictor, listed[0], undefended, streams),
        _cloud(everything),
    )


def _looked_at(predictor: Predictor, kept: Limits, most: int, streams: Streams) -> list[Members]:
    """The sets to choose from."""

    def score(members: Members) -> Floats:
        one = outlook(predictor, [members])
        found: Floats = objectives(one, [len(members)])[0] + (0.0 if usable(one, kept)[0] else _BROKEN)
        return found

    return candidates(predictor.universe, predictor.measured.sets, most, score, streams.integer("search", 31))


def _ordered_front(
    predictor: Predictor, sets: Sequence[Members], everything: Outlook, kept: Limits, undefended: float
) -> list[int]:
    """Places of the sets on the front: the chosen one, then by regret."""
    allowed = np.flatnonzero(usable(everything, kept))
    if not allowed.size:
        raise refuse([predictor.universe.label(one) for one in sets], everything, kept)
    sizes, regrets = [len(one) for one in sets], regret(everything, predictor.measured, undefended)
    best = allowed[pareto(objectives(everything, sizes)[allowed])].tolist()
    chosen = choice(everything, sizes, regrets, best)
    return sorted(best, key=lambda i: (i != chosen, regrets[i]))


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
            _figure(middle.delay[i], drawn.delay[:, i], seeds),
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
