"""Chains: what every arm reaches at every step, what each step enables later, and what the gate let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import (
    PENDING,
    Estimate,
    Paired,
    baselines,
    by_seed,
    estimate,
    harm_of,
    not_computed,
    paired,
    trials_of,
)
from threatloop.analysis.gates import gate_summary
from threatloop.analysis.index import ACCEPTED, REFUSED, Cell, Index, by_gate
from threatloop.core.measurement import ATTACK, WITHOUT, Measurement
from threatloop.core.seeds import Streams
from threatloop.numerics.intervals import Interval
from threatloop.numerics.undefined import Undefined

GateStatus = Literal["stopped", "passes", "mixed"]


@dataclass(frozen=True)
class ArmValue:
    """A headline figure of one arm at one step, on one side of the gate."""

    target: str
    scenario: str
    lap: int
    arm: str
    step: int
    attack: str
    metric: str
    gate: str
    value: Estimate
    missing: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Gate:
    """How often the ingest gate accepted an arm's data.

    Attributes:
        accepted: seeds in which it accepted, of ``n``.
        rate: accepted / n with its exact binomial interval, seeds as trials.
        status: ``stopped`` when no seed passed or the interval lies below ½, ``passes`` when every seed passed or the
            interval lies above ½, else ``mixed``.
    """

    target: str
    scenario: str
    lap: int
    arm: str
    accepted: int
    n: int
    rate: float | Undefined
    interval: Interval | Undefined
    status: GateStatus


@dataclass(frozen=True)
class Enablement:
    """What step ``removed`` gives to the later step ``step``: the chain minus the chain with that step's baseline.

    Attributes:
        gate_on: the gate's answer in the whole chain.
        gate_off: its answer with the step replaced. Seeds with different pairs of answers are never averaged together.
        gate_determined: the gate refused the chain without the step, so that its later values are the honest victim's.
        effect: of the paired difference; *amplifies* means that the step enables the later one.
    """

    target: str
    scenario: str
    removed: int
    step: int
    attack: str
    metric: str
    gate_on: str
    gate_off: str
    gate_determined: bool
    on: Estimate
    off: Estimate
    effect: Effect | Undefined
    paired: Paired = field(repr=False)


def arm_values(index: Index, streams: Streams) -> tuple[ArmValue, ...]:
    """The headline figures of every arm, step and lap."""
    return tuple(
        ArmValue(
            cell.target,
            cell.scenario,
            cell.lap,
            cell.arm,
            cell.step,
            rows[0].attack,
            cell.metric,
            gate,
            estimate(
                by_seed(group), index.note(cell.metric).unit, streams, f"arm {cell.label} {gate}", trials_of(group)
            ),
            not_computed(group),
        )
        for cell, rows in index.cells.items()
        if index.is_headline(rows[0].attack, cell.metric)
        for gate, group in by_gate(rows).items()
    )


def gates(index: Index, streams: Streams) -> tuple[Gate, ...]:
    """The pass rate of every arm whose data met a gate; one decision per seed, the last step's."""
    decisions: dict[tuple[str, str, int, str], dict[int, tuple[int, bool]]] = {}
    for cell, rows in index.cells.items():
        for row in rows:
            if row.gate in (ACCEPTED, REFUSED):
                seeds = decisions.setdefault((cell.target, cell.scenario, cell.lap, cell.arm), {})
                if row.step >= seeds.get(row.seed, (0, False))[0]:
                    seeds[row.seed] = (row.step, row.gate == ACCEPTED)
    return tuple(_gate(key, [passed for _, passed in seeds.values()], streams) for key, seeds in decisions.items())


def enablements(index: Index, streams: Streams) -> tuple[Enablement, ...]:
    """Every step's gift to every later step's headline figure, with effects still to be judged."""
    found: list[Enablement] = []
    for cell, off in index.cells.items():
        whole = index.cells.get(Cell(cell.target, cell.scenario, cell.lap, cell.step, cell.metric, ATTACK))
        removed = cell.arm.removeprefix(WITHOUT)
        if cell.lap != 1 or whole is None or not cell.arm.startswith(WITHOUT) or not removed.isdigit():
            continue
        if int(removed) < cell.step and index.is_headline(off[0].attack, cell.metric):
            found.extend(_enablement(index, cell, int(removed), pair, streams) for pair in sides(whole, off))
    return tuple(sorted(found, key=lambda e: (e.target, e.scenario, e.removed, e.step)))


@dataclass(frozen=True)
class Side:
    """Rows of two arms in the seeds in which the gate gave this pair of answers."""

    gate_on: str
    gate_off: str
    on: tuple[Measurement, ...]
    off: tuple[Measurement, ...]


def sides(on: Sequence[Measurement], off: Sequence[Measurement]) -> list[Side]:
    """The seeds that both arms share, by the gate's two answers."""
    others = {row.seed: row for row in off}
    pairs = [(row, others[row.seed]) for row in on if row.seed in others]
    answers = sorted({(a.gate, b.gate) for a, b in pairs})
    return [
        Side(
            *answer,
            tuple(a for a, b in pairs if (a.gate, b.gate) == answer),
            tuple(b for a, b in pairs if (a.gate, b.gate) == answer),
        )
        for answer in answers
    ]


def _enablement(index: Index, cell: Cell, removed: int, side: Side, streams: Streams) -> Enablement:
    note = index.note(cell.metric)
    on, off = by_seed(side.on), by_seed(side.off)
    usual = list(baselines(side.on).values()) or list(off.values())
    label = f"enablement {cell.label} {side.gate_on} {side.gate_off}"
    return Enablement(
        cell.target,
        cell.scenario,
        removed,
        cell.step,
        side.off[0].attack,
        cell.metric,
        side.gate_on,
        side.gate_off,
        side.gate_off == REFUSED,
        estimate(on, note.unit, streams, f"{label} on"),
        estimate(off, note.unit, streams, f"{label} off"),
        PENDING,
        paired(on, off, note, harm_of(note, usual)),
    )


def _gate(key: tuple[str, str, int, str], passed: Sequence[bool], streams: Streams) -> Gate:
    rate = gate_summary(passed, [0.0] * len(passed), streams.numpy("gate"))
    return Gate(
        *key,
        rate.accepted,
        rate.n,
        rate.pass_rate,
        rate.pass_interval,
        _status(rate.accepted, rate.n, rate.pass_interval),
    )


def _status(accepted: int, n: int, interval: Interval | Undefined) -> GateStatus:
    if isinstance(interval, Undefined):
        return "mixed"
    if accepted == 0 or interval.high < 0.5:
        return "stopped"
    return "passes" if accepted == n or interval.low > 0.5 else "mixed"
