"""Sweeps: an attack's headline figure at several values of its budget, beside its baseline and its matched control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from threatloop.analysis.estimates import Estimate, by_seed, estimate, trials_of
from threatloop.analysis.index import Cell, Index
from threatloop.core.measurement import ATTACK, BASELINE, CONTROL, SWEEP, SWEEP_BASELINE, SWEEP_CONTROL, WITHOUT
from threatloop.core.seeds import Streams

ATTACKER: Final = "attack"
WITHOUT_ATTACK: Final = "baseline"
MATCHED: Final = "control"


@dataclass(frozen=True)
class Point:
    """One budget and what is reached with it, over seeds."""

    at: float
    value: Estimate


@dataclass(frozen=True)
class Sweep:
    """A headline figure against a budget.

    Attributes:
        step: of the graded attack; the swept one may come before it.
        swept: name of the field that was varied.
        series: ``attack``, and ``baseline`` and ``control`` where they were measured; points in ascending order.
    """

    target: str
    scenario: str
    step: int
    attack: str
    metric: str
    swept: str
    series: Mapping[str, tuple[Point, ...]]


def sweeps(index: Index, streams: Streams) -> tuple[Sweep, ...]:
    """Every sweep of the run, first lap."""
    found = []
    for cell, rows in index.cells.items():
        about = index.record.scenarios.get(cell.scenario, {}).get("sweep")
        if about is None or cell.arm != ATTACK or cell.lap != 1 or cell.step < about["step"]:
            continue
        if index.is_headline(rows[0].attack, cell.metric):
            series = _series(index, cell, about, streams)
            found.append(
                Sweep(cell.target, cell.scenario, cell.step, rows[0].attack, cell.metric, about["field"], series)
            )
    return tuple(found)


def _series(index: Index, cell: Cell, about: Mapping[str, Any], streams: Streams) -> dict[str, tuple[Point, ...]]:
    points: dict[str, dict[float, Estimate]] = {}
    for name, at, arm in _arms(index, cell, about):
        rows = index.cells.get(Cell(cell.target, cell.scenario, cell.lap, cell.step, cell.metric, arm))
        if not rows:
            continue
        label = f"sweep {cell.label} {arm}"
        found = estimate(by_seed(rows), index.note(cell.metric).unit, streams, label, trials_of(rows))
        if found.n:
            points.setdefault(name, {})[at] = found
    swept, usual = points.get(ATTACKER, {}), points.get(WITHOUT_ATTACK, {})
    if len(swept) > len(usual) and (constant := _constant(index, cell, about, streams)):
        points[WITHOUT_ATTACK] = dict.fromkeys(swept, constant) | usual
    return {name: tuple(Point(at, one[at]) for at in sorted(one)) for name, one in points.items()}


def _constant(index: Index, cell: Cell, about: Mapping[str, Any], streams: Streams) -> Estimate | None:
    """A baseline that has no such budget, as that of an evasion, is the same at all of them; None where it has one."""
    here = [other for other in index.cells if (other.target, other.scenario) == (cell.target, cell.scenario)]
    if any(other.arm.startswith(SWEEP_BASELINE) for other in here):
        return None
    for arm in (BASELINE, f"{WITHOUT}{about['step']}"):
        rows = index.cells.get(Cell(cell.target, cell.scenario, cell.lap, cell.step, cell.metric, arm))
        if rows:
            label = f"sweep {cell.label} {arm}"
            found = estimate(by_seed(rows), index.note(cell.metric).unit, streams, label, trials_of(rows))
            return found if found.n else None
    return None


def _arms(index: Index, cell: Cell, about: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Series, budget and arm of every point; the arms of the scenario itself are at the attack's own budget."""
    here = (cell.target, cell.scenario, cell.lap, cell.step, cell.metric)
    prefixes = {SWEEP: ATTACKER, SWEEP_BASELINE: WITHOUT_ATTACK, SWEEP_CONTROL: MATCHED}
    own = {
        ATTACK: ATTACKER,
        BASELINE: WITHOUT_ATTACK,
        f"{WITHOUT}{about['step']}": WITHOUT_ATTACK,
        f"{CONTROL}{about['step']}": MATCHED,
    }
    for other in index.cells:
        if (other.target, other.scenario, other.lap, other.step, other.metric) != here:
            continue
        if other.arm in own and about["value"] is not None:
            yield own[other.arm], float(about["value"]), other.arm
        for prefix, name in prefixes.items():
            if other.arm.startswith(prefix):
                yield name, float(other.arm.removeprefix(prefix)), other.arm
