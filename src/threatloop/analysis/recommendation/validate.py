"""How far the predictions can be trusted: held-out combinations, and held-out pairs of defences.

Half of the seeds are fitted, the other half say what is true, and the other way round: were both taken from the same
seeds, noise in the single defences would decide both sides and look like skill. Combinations of which the judging
seeds show neither that they work nor that they fail (see `working`) are counted and not scored. Main effects alone
know nothing of defences that change nothing (see `model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from threatloop.analysis.recommendation.model import KAPPAS, MAIN_ONLY
from threatloop.analysis.recommendation.outlook import judged
from threatloop.analysis.recommendation.predict import LEVEL, Predictor
from threatloop.analysis.recommendation.responses import Responses, Seeds
from threatloop.analysis.recommendation.sets import Universe
from threatloop.analysis.recommendation.skill import Skill, balanced
from threatloop.analysis.recommendation.working import outcomes, works
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

FOLDS: Final = 5
MOST_PAIRS: Final = 8
_DRAWS: Final = 200
FEWEST: Final = 4
"""Combinations below which nothing is validated."""
NONE_DECIDED: Final = "the seeds are too few to show of any combination whether it works"


@dataclass(frozen=True)
class Validation:
    """Predictions of combinations that were left out of the fit.

    Attributes:
        held_out: what was left out: ``combinations``, or ``pairs`` with every set that contains them.
        combinations: how many were predicted.
        decided: how many of them one half of the seeds or both show to work or to fail.
        predictions: of which the skills are made; up to two of each decided combination, one per half of the seeds.
        works: share of them that work, as measured.
        model, main_only, majority: with pairwise effects, without, and the commoner answer always.
        measured: the combinations themselves, measured on the seeds that the predictions are fitted on: no prediction
            can be expected to do better, since what is true is measured too.
        width: mean width of the 95 % intervals of risk per direction.
        covered: share of the measured risks within them.
    """

    held_out: str
    combinations: int
    decided: int
    predictions: int
    works: float | Undefined
    model: Skill
    main_only: Skill
    majority: Skill
    measured: Skill
    width: float | Undefined
    covered: float | Undefined


@dataclass
class _Tally:
    truth: list[bool] = field(default_factory=list)
    model: list[bool] = field(default_factory=list)
    main_only: list[bool] = field(default_factory=list)
    measured: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    covered: list[float] = field(default_factory=list)
    combinations: set[int] = field(default_factory=set)
    decided: set[int] = field(default_factory=set)


def validate(found: Universe, measured: Responses, streams: Streams) -> tuple[Validation, ...]:
    """Both validations: by held-out combinations, and by held-out pairs."""
    rows = gradable(measured)
    if len(rows) < FEWEST:
        why = (
            f"of {FEWEST} combinations that this needs, with their defences also measured alone, there are {len(rows)}"
        )
        return tuple(_nothing(name, why) for name in ("combinations", "pairs"))
    order = streams.numpy("folds").permutation(rows)
    folds = [np.sort(order[i :: min(FOLDS, len(rows))]) for i in range(min(FOLDS, len(rows)))]
    return (
        _validated("combinations", found, measured, [(fold, fold) for fold in folds], streams.child("combinations")),
        _validated("pairs", found, measured, _pairs(measured, rows, streams), streams.child("pairs")),
    )


def gradable(measured: Responses) -> npt.NDArray[np.int64]:
    """Measured combinations of at least two defences whose constituents were measured alone."""
    known = set(measured.sets)
    found = [
        row
        for row, members in enumerate(measured.sets)
        if len(members) > 1 and all(frozenset([one]) in known for one in members)
    ]
    return np.array(found, np.int64)


def _pairs(
    measured: Responses, rows: npt.NDArray[np.int64], streams: Streams
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs that were measured, some of them where there are many: (what is left out, what is predicted of it)."""
    pairs = [row for row in rows if len(measured.sets[row]) == 2]
    chosen = streams.numpy("pairs").permutation(np.array(pairs, np.int64))[:MOST_PAIRS]
    found = []
    for row in np.sort(chosen):
        out = np.array([i for i, members in enumerate(measured.sets) if measured.sets[row] <= members], np.int64)
        found.append((out, np.intersect1d(out, rows)))
    return found


def _validated(
    name: str,
    found: Universe,
    measured: Responses,
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    streams: Streams,
) -> Validation:
    tally = _Tally()
    for i, (out, asked) in enumerate(folds):
        rest = np.setdiff1d(np.arange(len(measured.sets)), out)
        tally.combinations |= set(asked.tolist())
        for fitted, judging in _halves(measured.seeds):
            _predict(tally, found, measured, rest, asked, fitted, judging)
        _intervals(tally, found, measured, rest, asked, streams.numpy(f"draws {i}"))
    truth = tally.truth
    if not tally.combinations:
        return _nothing(name, "no pair was measured" if name == "pairs" else "no combination could be left out")
    common = sum(truth) * 2 >= len(truth)
    return Validation(
        name,
        len(tally.combinations),
        len(tally.decided),
        len(truth),
        float(np.mean(truth)) if truth else Undefined(NONE_DECIDED),
        balanced(truth, tally.model),
        balanced(truth, tally.main_only),
        balanced(truth, [common] * len(truth)),
        balanced(truth, tally.measured),
        _mean(tally.widths),
        _mean(tally.covered),
    )


def _halves(seeds: int) -> list[tuple[Seeds, Seeds]]:
    """Seeds that are fitted and seeds that judge, both ways round; with one seed there is none to judge."""
    even, odd = np.arange(0, seeds, 2), np.arange(1, seeds, 2)
    return [(even, odd), (odd, even)] if seeds > 1 else []


def _predict(
    tally: _Tally,
    found: Universe,
    measured: Responses,
    rest: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    fitted: Seeds,
    judging: Seeds,
) -> None:
    shown = outcomes(measured, asked, judging)
    known, decided = measured.means(fitted), asked[[one != "undecided" for one in shown]]
    if not len(decided):
        return
    sets = [measured.sets[row] for row in decided]
    tally.decided |= set(decided.tolist())
    tally.truth += [one == "works" for one in shown if one != "undecided"]
    tally.measured += works(known.risk[decided], known.accuracy[decided], sets, measured, known).tolist()
    model, main_only = (Predictor(found, measured, rest, fitted, kappas) for kappas in (KAPPAS, MAIN_ONLY))
    for guess, said in ((model.estimate(sets), tally.model), (main_only.predict(sets), tally.main_only)):
        said += works(guess.risk, guess.accuracy, sets, measured, known).tolist()


def _intervals(
    tally: _Tally,
    found: Universe,
    measured: Responses,
    rest: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Width and coverage of the intervals of risk per direction, as if everything were resolved."""
    predictor = Predictor(found, measured, rest)
    sets = [*(measured.sets[row] for row in asked), frozenset[int]()]
    everything = np.ones((len(asked), len(measured.places)), np.bool_)
    drawn = judged(predictor.draws(sets, rng, _DRAWS), everything, measured, np.full(len(asked), np.nan)).risk
    means = measured.means()
    true = np.stack(
        [
            np.fmax.reduce(means.risk[asked][:, [i for i, p in enumerate(measured.places) if p.direction == d]], axis=1)
            for d in measured.directions
        ],
        axis=1,
    )
    ends = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    # Rounding must not put a risk of 0 outside an interval that begins at 0.
    inside = (true >= ends[0] - 1e-6) & (true <= ends[1] + 1e-6)
    there = np.isfinite(true)
    tally.widths += (ends[1] - ends[0])[there].tolist()
    tally.covered += inside[there].astype(float).tolist()


def _mean(values: Sequence[float]) -> float | Undefined:
    return float(np.mean(values)) if values else Undefined("no combination was left out")


def _nothing(name: str, why: str) -> Validation:
    none = Undefined(why)
    skill = Skill(none, none)
    return Validation(name, 0, 0, 0, none, skill, skill, skill, skill, none, none)
