"""What the screening seeds of a study decide: the arm of every cell, and how many fresh seeds it gets."""

from __future__ import annotations

from collections.abc import Iterable

from threatloop.analysis.arm_choice import Choice, choose, differences, same_by_construction
from threatloop.analysis.effects import MIN_SEEDS
from threatloop.analysis.pairings import Pairing, pairings
from threatloop.analysis.two_stage import MAX_CONFIRMATION, SCREENING_SEEDS, plan_confirmation
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.study_note import PlannedCell


def plan_cells(
    record: RunRecord, rows: Iterable[Measurement], screening_seeds: int, *, exhaust: bool = False
) -> tuple[PlannedCell, ...]:
    """Every cell of the matrix with the fresh seeds that it is worth.

    Args:
        record: of the screening.
        rows: of the screening; rows of later seeds are not looked at.
        screening_seeds: at least 12.
        exhaust: give every cell that is open the most seeds: more than it will probably need, and also where it will
            probably stay open with them, for a narrow interval in place of a verdict.
    """
    seen = [row for row in rows if row.seed < screening_seeds]
    return tuple(_planned(pairing, screening_seeds, exhaust) for pairing in pairings(record, seen))


def _planned(pairing: Pairing, screening_seeds: int, exhaust: bool) -> PlannedCell:
    choice = choose(pairing, range(screening_seeds))
    return PlannedCell(
        target=pairing.target,
        family=pairing.family,
        row=pairing.row,
        column=pairing.column,
        scenario=pairing.scenario,
        condition=pairing.condition,
        arm=choice.arm,
        off_arm=choice.off,
        gate_on=choice.gates[0],
        gate_off=choice.gates[1],
        seeds=_worth(pairing, choice, screening_seeds, exhaust),
    )


def _worth(pairing: Pairing, choice: Choice, screening_seeds: int, exhaust: bool) -> int:
    found = differences(pairing, choice, range(screening_seeds))
    if pairing.reason or len(found) < SCREENING_SEEDS:
        return 0
    if same_by_construction(pairing, choice) >= MIN_SEEDS:
        return 0
    delta, _ = pairing.frame
    return MAX_CONFIRMATION if exhaust else plan_confirmation([*found.values()], delta)
