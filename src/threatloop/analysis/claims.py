"""The claims ledger: published interactions, our small test of each, and what it shows.

A claim's test is a paired difference (or a rank correlation over victims) in the seeds of one study. Seeds are spent in
two stages, as for every family: screening seeds choose how many fresh ones are tested, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import spearmanr

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import UNIT_BOUNDS
from threatloop.analysis.two_stage import Cell, confirm, plan_confirmation
from threatloop.core.measurement import ADAPTIVE, ATTACK, BASELINE, Measurement, MetricNote, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.means import Bounds

LEDGER: Final = "ledger.yaml"
WORST: Final = "worst"
"""In place of an arm: of the unchanged and the adaptive attacker the one who does better in the screening seeds."""
LEAST_VICTIMS: Final = 5
"""Victims of one seed without which a correlation over them is not computed."""
CORRELATION_MARGIN: Final = 0.1

Reading = Literal["holds", "does not hold", "opposite", "unresolved", "not computed"]
BySeed = dict[int, float]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(_Strict):
    """Where one reading stands in the table of measurements.

    Attributes:
        scenario, metric, step, condition: as in the table.
        arm: as in the table, or ``worst``.
        minus: an arm whose reading is subtracted, such as ``baseline``; empty for none.
    """

    scenario: str
    metric: str
    step: int = Field(default=1, ge=1)
    condition: str = ""
    arm: str = ATTACK
    minus: Literal["", "baseline"] = ""


class Claim(_Strict):
    """A published interaction and our test of it.

    Attributes:
        id: short name.
        claim: in a sentence.
        source, setting, reported, evidence: what was published, on what, with which figure, and how good it is.
        expected: sign of the difference measured − against, or of the correlation; 0 for a null.
        test: what ours does, in words.
        target: of the study.
        measured, against: the readings that are compared.
        correlate: or those whose ranks are correlated over the victims of all conditions.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    claim: str
    source: str
    setting: str
    reported: str
    evidence: str
    expected: Literal["+", "-", "0"]
    test: str
    target: str = "digits"
    measured: Side | None = None
    against: Side | None = None
    correlate: tuple[Side, Side] | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        paired = self.measured is not None and self.against is not None
        if paired == (self.correlate is not None):
            raise ValueError("needs both `measured` and `against`, or `correlate`")
        return self

    @property
    def sides(self) -> tuple[Side, ...]:
        """All readings that the test needs."""
        return tuple(side for side in (self.measured, self.against, *(self.correlate or ())) if side is not None)


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


def ledger() -> tuple[Claim, ...]:
    """The claims that ship with threatloop."""
    text = resources.files("threatloop.analysis").joinpath(LEDGER).read_text(encoding="utf-8")
    return tuple(Claim.model_validate(one) for one in yaml.safe_load(text))


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
            return 0.05, ((-1.0, 1.0) if metric.startswith(("ownership.", "monitor.")) else None)
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
    """By claim the number of fresh seeds that can probably resolve it; 0 where more would not."""
    planned = {}
    for claim in claims:
        seen = _part(differences(claim, readings, range(screening)), range(screening))
        enough = len(seen) >= screening
        planned[claim.id] = plan_confirmation(list(seen.values()), _margin(claim, readings)[0]) if enough else 0
    return planned


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
