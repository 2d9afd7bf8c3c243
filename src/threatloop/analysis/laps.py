"""Laps: what feeding the loot back gains over every use of the same knowledge that feeds nothing back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from threatloop.analysis.chains import Side, sides
from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import PENDING, Estimate, Paired, baselines, by_seed, estimate, harm_of, paired
from threatloop.analysis.index import Cell, Index
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

FEEDBACK: Final = "feedback"


@dataclass(frozen=True)
class LoopGain:
    """V₂(feedback) − V₂(control) at one step, paired by seed, on one pair of answers of the gate.

    Attributes:
        control: the no-feedback arm: ``restart``, ``double``, ``prior`` or another name.
        effect: of the paired difference; *amplifies* means that the loop pays for the attacker.
    """

    target: str
    scenario: str
    step: int
    attack: str
    direction: str
    metric: str
    control: str
    gate_on: str
    gate_off: str
    feedback: Estimate
    without: Estimate
    effect: Effect | Undefined
    paired: Paired = field(repr=False)


def loop_gains(index: Index, streams: Streams) -> tuple[LoopGain, ...]:
    """Every headline figure of the second lap against every control, with effects still to be judged."""
    return tuple(
        _gain(index, cell, side, streams)
        for cell, rows in index.cells.items()
        if cell.lap > 1 and cell.arm != FEEDBACK and index.is_headline(rows[0].attack, cell.metric)
        for side in sides(index.cells.get(_fed_back(cell), []), rows)
    )


def _fed_back(cell: Cell) -> Cell:
    return Cell(cell.target, cell.scenario, cell.lap, cell.step, cell.metric, FEEDBACK)


def _gain(index: Index, cell: Cell, side: Side, streams: Streams) -> LoopGain:
    note, first = index.note(cell.metric), side.off[0]
    on, off = by_seed(side.on), by_seed(side.off)
    usual = list(baselines(side.on).values()) or list(off.values())
    label = f"lap {cell.label} {side.gate_on} {side.gate_off}"
    return LoopGain(
        cell.target,
        cell.scenario,
        cell.step,
        first.attack,
        first.direction,
        cell.metric,
        cell.arm,
        side.gate_on,
        side.gate_off,
        estimate(on, note.unit, streams, f"{label} on"),
        estimate(off, note.unit, streams, f"{label} off"),
        PENDING,
        paired(on, off, note, harm_of(note, usual)),
    )
