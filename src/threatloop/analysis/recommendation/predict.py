"""Predictions of whole sets: risk per attack and direction, accuracy, cost, each with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from threatloop.analysis.recommendation.model import (
    KAPPAS,
    Column,
    Overlap,
    Scale,
    Spectra,
    fit,
    heredity,
)
from threatloop.analysis.recommendation.responses import Means, Responses, Seeds
from threatloop.analysis.recommendation.sets import Bools, Members, Universe
from threatloop.numerics.arrays import Floats

DRAWS: Final = 400
LEVEL: Final = 0.95
FEWEST_SEEDS: Final = 3
"""In which a defence must change nothing to count as inert."""
_ONE_SIDED: Final = 1.645


@dataclass(frozen=True)
class Predicted:
    """Of m sets, or (draws, m) of them.

    Attributes:
        risk: (..., m, attacks). accuracy, log_cost, log_delay: (..., m); NaN where nothing is known.
    """

    risk: Floats
    accuracy: Floats
    log_cost: Floats
    log_delay: Floats


@dataclass(frozen=True)
class Fitted:
    """One response: its effects, and what they and the measurements say together of the measured sets.

    Attributes:
        inert: (defences,), those that alone change nothing about it.
        values: (all measured sets,), as measured.
        loads: (n,), weights of the kernel with the sets that it was fitted on.
        blended: value of every such set: the weighted mean of what was measured and what the other sets say of it.
        at: places of these sets, of their active parts.
    """

    column: Column
    inert: Bools
    values: Floats
    loads: Floats
    blended: Floats
    at: Mapping[Members, int]

    def known(self, sets: Sequence[Members]) -> list[tuple[int, int]]:
        """Places of the sets that it was fitted on, or that differ from one by inert defences only, among these and
        among its own."""
        active = [active_part(members, self.inert) for members in sets]
        return [(place, self.at[members]) for place, members in enumerate(active) if members in self.at]


def active_part(members: Members, inert: Bools) -> Members:
    """A set without its inert defences."""
    return frozenset(one for one in members if not inert[one])


class Predictor:
    """The fitted effects of every attack, of accuracy and of cost on one target.

    Args:
        found: the run's defences.
        measured: the responses.
        rows: the measured sets to fit on; default: all.
        seeds: the seeds to fit on; default: all.
        kappas: see `fit`.
    """

    def __init__(
        self,
        found: Universe,
        measured: Responses,
        rows: npt.NDArray[np.int64] | None = None,
        seeds: Seeds | None = None,
        kappas: Sequence[float] = KAPPAS,
    ) -> None:
        self.universe, self.measured = found, measured
        self.rows = np.arange(len(measured.sets)) if rows is None else rows
        self.seeds = np.arange(measured.seeds) if seeds is None else seeds
        self.incidence = found.incidence(measured.sets)
        columns = _columns(measured.means(self.seeds))
        kept = np.full(len(measured.sets), False)
        kept[self.rows] = True
        # A filter may take fifty times as long to answer; that says nothing about what it does to attacks.
        self.heredity = heredity(self.incidence, [np.where(kept, one, np.nan) for one in columns[:-1]])
        spectra: dict[bytes, Spectra] = {}
        self.fitted = [self._fit(i, values, spectra, kappas, i >= len(columns) - 2) for i, values in enumerate(columns)]

    def predict(self, sets: Sequence[Members]) -> Predicted:
        """What the effects say of these sets, measured or not."""
        found = [
            np.full(len(sets), np.nan)
            if one is None
            else one.column.back(self._overlap(sets, one).kernel(one.column.kappa)[:, one.column.rows] @ one.loads)
            for one in self.fitted
        ]
        return _predicted(found, len(self.measured.places))

    def estimate(self, sets: Sequence[Members]) -> Predicted:
        """The same; of measured sets, and of those that differ from one by inert defences only, the weighted mean of
        what was measured and what the other sets say of them.

        The weight of the measurement is the share of what the effects miss that is no noise of the seeds: the best of
        many noisy figures is too good to be true.
        """
        guessed = _columns(self.predict(sets))
        for values, one in zip(guessed, self.fitted, strict=True):
            if one is not None:
                for place, at in one.known(sets):
                    values[place] = one.blended[at]
        return _predicted(guessed, len(self.measured.places))

    def careful_accuracy(self, sets: Sequence[Members]) -> Floats:
        """(m,): accuracy; of sets that were not measured the lower end of its 90 % interval."""
        one = self.fitted[len(self.measured.places)]
        if one is None:
            return np.full(len(sets), np.nan)
        x = self.universe.incidence(sets)
        errors = one.column.errors(self._overlap(sets, one), Overlap.of(x, x, self.heredity, one.inert))
        for place, _ in one.known(sets):
            errors[place] = 0.0
        return one.column.back(one.column.raw(self.estimate(sets).accuracy) - _ONE_SIDED * errors)

    def draws(self, sets: Sequence[Members], rng: np.random.Generator, times: int = DRAWS) -> Predicted:
        """What a re-audit with as many seeds might give: seeds are resampled, what the effects miss is added.

        Deviations are stretched so that their normal quantiles become those of Student's t at this number of seeds.
        """
        k = len(self.seeds)
        stretch = float(stdtrit(k - 1, (1 + LEVEL) / 2)) / 1.96 * np.sqrt(k / (k - 1)) if k > 1 else 1.0
        resampled = [_columns(self.measured.means(rng.choice(self.seeds, k))) for _ in range(times)]
        centre = _columns(self.estimate(sets))
        found = [
            np.full((times, len(sets)), np.nan)
            if one is None
            else self._drawn(one, centre[i], np.stack([values[i] for values in resampled]), sets, stretch, rng)
            for i, one in enumerate(self.fitted)
        ]
        return _predicted(found, len(self.measured.places))

    def _drawn(
        self,
        one: Fitted,
        centre: Floats,
        resampled: Floats,
        sets: Sequence[Members],
        stretch: float,
        rng: np.random.Generator,
    ) -> Floats:
        """(draws, m) of one column."""
        overlap, x, column = self._overlap(sets, one), self.universe.incidence(sets), one.column
        base, drawn = column.standardised(one.values), column.standardised(resampled)
        shift = (np.where(np.isfinite(drawn), drawn, base) - base) * stretch
        moved = shift @ column.weights(overlap).T
        noise = column.errors(overlap, Overlap.of(x, x, self.heredity, one.inert))
        for place, at in one.known(sets):
            moved[:, place], noise[place] = shift[:, at], 0.0
        spread = np.sqrt(np.maximum(noise**2 - moved.var(0), 0.0))
        return column.back(column.raw(centre) + moved + spread * rng.normal(size=moved.shape))

    def _fit(
        self, i: int, values: Floats, spectra: dict[bytes, Spectra], kappas: Sequence[float], unbounded: bool
    ) -> Fitted | None:
        if not np.isfinite(values[self.rows]).any():
            return None
        inert = self._inert(i)
        if inert.tobytes() not in spectra:
            spectra[inert.tobytes()] = Spectra(Overlap.of(self.incidence, self.incidence, self.heredity, inert))
        scales: tuple[Scale, ...] = ("plain",) if unbounded else ("plain", "logit")
        column = fit(values, spectra[inert.tobytes()], self.rows, kappas, scales)
        y = column.standardised(values)
        left_out = column.left_out(y)
        blended = column.back(left_out + self._trust(column, i, y - left_out) * (y - left_out))
        sets = [self.measured.sets[row] for row in column.rows]
        # No defence is what all others are compared with: as it was measured.
        blended = np.array([b if one else values[0] for b, one in zip(blended, sets, strict=True)])
        at = {active_part(one, inert): place for place, one in reversed(list(enumerate(sets)))}
        return Fitted(column, inert, values, column.inverse @ y, blended, at)

    def _inert(self, i: int) -> Bools:
        """(defences,): those that alone leave a response in every seed as it is without defences."""
        found = np.zeros(self.incidence.shape[1], np.bool_)
        by_seed = self.measured.by_seed(i)
        if by_seed is None or len(self.seeds) < FEWEST_SEEDS:
            return found
        for row in self.rows:
            if len(self.measured.sets[row]) == 1:
                alone, nothing = by_seed[row, self.seeds], by_seed[0, self.seeds]
                (one,) = self.measured.sets[row]
                found[one] = bool(np.array_equal(alone, nothing, equal_nan=True) and np.isfinite(alone).any())
        return found

    def _trust(self, column: Column, i: int, missed: Floats) -> float:
        """Share of the squared leave-one-out error that is not the noise of the seeds."""
        if len(self.seeds) < 2:
            return 1.0
        halves = [_columns(self.measured.means(self.seeds[part::2]))[i] for part in (0, 1)]
        a, b = (column.standardised(one) for one in halves)
        known = np.isfinite(a) & np.isfinite(b)
        # The mean of two halves has a quarter of the variance of their difference. What all sets share is no noise.
        noise = float(np.var(a[known] - b[known])) / 4 if known.any() else 0.0
        total = float(np.mean(missed**2))
        return min(max((total - noise) / total, 0.0), 1.0) if total > 0 else 1.0

    def _overlap(self, sets: Sequence[Members], one: Fitted) -> Overlap:
        return Overlap.of(self.universe.incidence(sets), self.incidence, self.heredity, one.inert)


def _columns(found: Means | Predicted) -> list[Floats]:
    """The responses one by one: attacks, accuracy, log cost, log delay."""
    return [*found.risk.T.copy(), found.accuracy.copy(), found.log_cost.copy(), found.log_delay.copy()]


def _predicted(columns: Sequence[Floats], attacks: int) -> Predicted:
    risk = np.stack(columns[:attacks], axis=-1)
    return Predicted(risk, *columns[attacks:])
