"""Cells of the interaction matrix before they are judged: what is compared with what, in which seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from threatloop.analysis.arm_choice import (
    Choice,
    choose,
    differences,
    left_out_differences,
    reference_differences,
    same_by_construction,
)
from threatloop.analysis.pairings import Pairing
from threatloop.analysis.two_stage import Cell
from threatloop.core.measurement import RunRecord
from threatloop.core.study_note import PlannedCell


@dataclass(frozen=True)
class Compared:
    """Differences by seed; ``cell`` is None where all seeds make one stage."""

    values: Mapping[int, float]
    cell: Cell | None


@dataclass(frozen=True)
class Draft:
    """A pairing with what is compared in which seeds.

    Attributes:
        begun: fresh seeds were planned, whether this cell got any or not.
        main: from A's absence.
        aside: from each other reference that A has.
        same: seeds in which A cannot have mattered, if that is all of them.
    """

    pairing: Pairing
    choice: Choice
    main: Compared
    aside: Mapping[str, Compared]
    screened: int
    planned: int
    begun: bool
    same: int

    @property
    def values(self) -> Mapping[int, float]:
        """Differences from A's absence."""
        return self.main.values

    def compared(self, reference: str = "") -> Compared:
        """Differences from a reference, by name; from A's absence where none is named."""
        return self.aside[reference] if reference else self.main


def draft_of(pairing: Pairing, record: RunRecord) -> Draft:
    """What a pairing compares, in the seeds that the run's stages leave for it."""
    if record.study is None:
        seeds = sorted({seed for rows in pairing.arms.values() for seed in rows})
        choice = choose(pairing, seeds)
        main = Compared(left_out_differences(pairing, seeds), None)
        aside = {
            name: Compared(reference_differences(pairing, name, choice, seeds), None) for name in pairing.references
        }
        return Draft(pairing, choice, main, aside, 0, 0, True, same_by_construction(pairing, choice))
    first = record.study.screening_seeds
    planned = next((one for one in record.study.planned if _is_of(one, pairing)), None)
    if planned is None:
        choice, n = choose(pairing, range(first)), 0
    else:
        choice, n = Choice(planned.arm, (planned.gate_on, planned.gate_off), planned.off_arm), planned.seeds
    (delta, bounds), seen, fresh = pairing.frame, range(first), range(first, first + n)

    def compared(differ: Callable[[range], dict[int, float]]) -> Compared:
        screened, tested = differ(seen), differ(fresh)
        return Compared(tested if n else screened, Cell(pairing.label, screened, delta, n, tested, bounds))

    main = compared(partial(differences, pairing, choice))
    aside = {name: compared(partial(reference_differences, pairing, name, choice)) for name in pairing.references}
    screened = len(differences(pairing, choice, seen))
    begun = bool(record.study.planned)
    return Draft(pairing, choice, main, aside, screened, n, begun, same_by_construction(pairing, choice))


def _is_of(planned: PlannedCell, pairing: Pairing) -> bool:
    return (planned.family, planned.target, planned.row, planned.column) == (
        pairing.family,
        pairing.target,
        pairing.row,
        pairing.column,
    )
