"""What the tests of the claims ledger show.

A claim's test is a paired difference (or a rank correlation over victims) in the seeds of one study. Seeds are spent in
two stages, as for every family: screening seeds choose how many fresh ones are tested, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.stats import spearmanr

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import UNIT_BOUNDS
from threatloop.analysis.ledger import WORST, Claim, Side, ledger
from threatloop.analysis.two_stage import MAX_CONFIRMATION, SCREENING_SEEDS, Cell, confirm, plan_confirmation
from threatloop.core.measurement import ADAPTIVE, ATTACK, BASELINE, MATCHED, Measurement, MetricNote, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.means import Bounds

STUDY: Final = "claims"
"""Name of the study that the tests read."""
LEAST_VICTIMS: Final = 5
"""Victims of one seed without which a correlation over them is not computed."""
CORRELATION_MARGIN: Final = 0.1

Reading = Literal["holds", "does not hold", "opposite", "unresolved", "not computed"]
BySeed = dict[int, float]


@dataclass(frozen=True)
class Tested:
    """What a claim's test shows.

    Attributes:
        claim: as in the ledger.
        effect: of the raw difference measured − against; *amplifies* then means that it is positive. None where there
            are no figures.
        measured, against: means of both sides over the tested seeds; None for a correlation.
        screened, planned, tested: seeds of each kind.
        reading: whether the claim holds here.
        why: in a clause.
    """

    claim: Claim
    effect: Effect | None
    measured: float | None
    against: float | None
    screened: int
    planned: int
    tested: int
    reading: Reading
    why: str


def claims_of(record: RunRecord, rows: Iterable[Measurement]) -> tuple[Tested, ...]:
    """What a run of the claims' study shows, from its run folder alone; nothing for other runs.

    How many fresh seeds each claim was given follows from the screening seeds.
    """
    if record.name != STUDY:
        return ()
    readings, first = Readings(record, rows), record.seeds
    read = [claim for claim in ledger() if differences(claim, readings, range(first))]
    return judge_claims(read, readings, first, plan_claims(read, readings, first))


class Readings:
    """The rows of a study, by what claims ask for.

    Args:
        record: its ``run.json``.
        rows: its measurements.
    """

    def __init__(self, record: RunRecord, rows: Iterable[Measurement]) -> None:
        self.record = record
        self._found: dict[tuple[str, str, str, int, str, str], BySeed] = defaultdict(dict)
        for row in rows:
            if row.lap == 1 and row.value is not None:
                place = (row.target, row.scenario, row.condition, row.step, row.metric, row.arm)
                self._found[place][row.seed] = row.value

    def of(self, side: Side, target: str, screening: Collection[int]) -> BySeed:
        """The readings of one side by seed."""
        arm = self._worst(side, target, screening) if side.arm == WORST else side.arm
        found = self._at(side, target, arm)
        if not side.minus:
            return found
        less = self._at(side, target, BASELINE)
        return {seed: value - less[seed] for seed, value in found.items() if seed in less}

    def conditions(self) -> tuple[str, ...]:
        """All sets of defences, the empty one first."""
        return ("", *self.record.conditions)

    def margin(self, metric: str) -> tuple[float, Bounds | None]:
        """The metric's equivalence margin, and the bounds of a difference; a secondary figure has its parent's."""
        note = self._note(metric)
        if note is None:
            return 0.05, ((-1.0, 1.0) if _decides(metric) else None)
        low, high = UNIT_BOUNDS.get(note.unit, (-np.inf, np.inf))
        bounds = (low - high, high - low) if np.isfinite(high - low) else None
        return note.margin, bounds

    def _note(self, metric: str) -> MetricNote | None:
        while metric not in self.record.metrics and "." in metric:
            metric = metric.rpartition(".")[0]
        return self.record.metrics.get(metric)

    def _worst(self, side: Side, target: str, screening: Collection[int]) -> str:
        """All arms of this attack are of one metric, whose larger value is the attacker's gain in every claim."""
        arms = {place[-1] for place in self._found if place[:5] == _place(side, target)}
        able = [arm for arm in sorted(arms) if arm == ATTACK or arm.split(":")[0] == ADAPTIVE]
        means = {arm: [v for s, v in self._at(side, target, arm).items() if s in screening] for arm in able}
        return max((arm for arm in able if means[arm]), key=lambda arm: float(np.mean(means[arm])), default=ATTACK)

    def _at(self, side: Side, target: str, arm: str) -> BySeed:
        return self._found.get((*_place(side, target), arm), {})


def _place(side: Side, target: str) -> tuple[str, str, str, int, str]:
    return target, side.scenario, side.condition, side.step, side.metric


def differences(claim: Claim, readings: Readings, screening: Collection[int]) -> BySeed:
    """Measured minus against by seed, or the rank correlation over the victims of each seed."""
    if claim.correlate is not None:
        return _correlations(claim.correlate, claim.target, readings, screening)
    assert claim.measured is not None
    assert claim.against is not None
    on, off = (readings.of(side, claim.target, screening) for side in (claim.measured, claim.against))
    return {seed: on[seed] - off[seed] for seed in sorted(on.keys() & off.keys())}


def _correlations(sides: tuple[Side, Side], target: str, readings: Readings, screening: Collection[int]) -> BySeed:
    columns: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for condition in readings.conditions():
        x, y = (readings.of(side.model_copy(update={"condition": condition}), target, screening) for side in sides)
        for seed in x.keys() & y.keys():
            columns[seed].append((x[seed], y[seed]))
    found = {}
    for seed, pairs in sorted(columns.items()):
        table = np.array(pairs)
        if len(table) >= LEAST_VICTIMS and (np.ptp(table, axis=0) > 0).all():
            found[seed] = float(spearmanr(table[:, 0], table[:, 1]).statistic)
    return found


def plan_claims(claims: Sequence[Claim], readings: Readings, screening: int) -> dict[str, int]:
    """By claim the number of fresh seeds that can probably resolve it, else the most that there are.

    So a claim that stays open has had all the seeds that it may have. The most go also to decisions of yes or no, whose
    spread a screening hardly tells, and where some screening seeds could not be matched in accuracy. 0 where screening
    seeds failed, or are fewer than 12.
    """
    if screening < SCREENING_SEEDS:
        return {claim.id: 0 for claim in claims}
    planned = {}
    for claim in claims:
        seen = _part(differences(claim, readings, range(screening)), range(screening))
        enough = len(seen) >= screening
        worth = plan_confirmation(list(seen.values()), _margin(claim, readings)[0]) if enough else 0
        worth = 0 if any(_decides(side.metric) for side in claim.sides) else worth
        # Of a seed that cannot be matched nothing failed; the rest are too few to plan by.
        matched = any(side.arm.startswith(MATCHED) for side in claim.sides) and 2 * len(seen) > screening
        planned[claim.id] = (worth or MAX_CONFIRMATION) if enough or matched else 0
    return planned


def _decides(metric: str) -> bool:
    """Whether a reading is one decision of yes or no a seed."""
    return metric.endswith(("claimed", "flagged")) and not metric.endswith("benign_flagged")


def judge_claims(
    claims: Sequence[Claim], readings: Readings, screening: int, planned: Mapping[str, int]
) -> tuple[Tested, ...]:
    """One test of every claim on its fresh seeds; the ledger is the family."""
    chosen, fresh = range(screening), {one.id: range(screening, screening + planned.get(one.id, 0)) for one in claims}
    cells, values = [], {}
    for claim in claims:
        values[claim.id] = differences(claim, readings, chosen)
        delta, bounds = _margin(claim, readings)
        seen, tested = (_part(values[claim.id], seeds) for seeds in (chosen, fresh[claim.id]))
        if seen or tested:
            cells.append(Cell(claim.id, seen, delta, planned.get(claim.id, 0), tested, bounds))
    streams = Streams(readings.record.run_seed, ("analysis", "claims"))
    effects = confirm(cells, streams.numpy("confirm")) if cells else {}
    return tuple(
        _tested(claim, effects.get(claim.id), values[claim.id], readings, chosen, fresh[claim.id]) for claim in claims
    )


def _part(values: BySeed, seeds: Collection[int]) -> BySeed:
    return {seed: value for seed, value in values.items() if seed in seeds}


def _margin(claim: Claim, readings: Readings) -> tuple[float, Bounds | None]:
    if claim.measured is None:
        return CORRELATION_MARGIN, (-1.0, 1.0)
    return readings.margin(claim.measured.metric)


def _tested(
    claim: Claim, effect: Effect | None, values: BySeed, readings: Readings, chosen: range, fresh: range
) -> Tested:
    used = sorted(_part(values, fresh or chosen))
    sides = [
        readings.of(side, claim.target, chosen) if side is not None else {} for side in (claim.measured, claim.against)
    ]
    on, off = (float(np.mean([side[seed] for seed in used])) if side and used else None for side in sides)
    reading, why = _reading(claim, effect)
    return Tested(
        claim, effect, on, off, len(_part(values, chosen)), len(fresh), len(_part(values, fresh)), reading, why
    )


def _reading(claim: Claim, effect: Effect | None) -> tuple[Reading, str]:
    if effect is None:
        return "not computed", "no seed has both readings"
    if effect.verdict in ("unresolved", "too few seeds"):
        return "unresolved", effect.why
    sign = {"amplifies": "+", "weakens": "-", "no effect": "0"}[effect.verdict]
    if sign == claim.expected:
        return "holds", effect.why
    return ("does not hold" if sign == "0" or claim.expected == "0" else "opposite"), effect.why
