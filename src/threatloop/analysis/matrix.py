"""Cells of the interaction matrix, as they were judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from threatloop.analysis.effects import Effect
from threatloop.analysis.estimates import Estimate
from threatloop.analysis.side_effects import SideEffect
from threatloop.analysis.two_stage import MAX_CONFIRMATION
from threatloop.core.measurement import ATTACK
from threatloop.core.study_note import ATTACK_FAMILY, DEFENCE_FAMILY
from threatloop.numerics.undefined import Undefined

FAMILIES: Final = (DEFENCE_FAMILY, ATTACK_FAMILY)
NO_ADAPTIVE: Final = "no adaptive form known"
SUSPECT: Final = "attack suspect"
WEAKER: Final = f"weaker with {NO_ADAPTIVE}"
AT_LIMIT: Final = "unresolved within ±δ"
"""A cell that had the most seeds that it may have, and whose 90 % interval is no wider than ±δ."""
CellVerdict = Literal["amplifies", "weakens", "no effect", "unresolved", "too few seeds", "not assessed"]
RESOLVED: Final = ("amplifies", "weakens", "no effect")


@dataclass(frozen=True)
class Interaction:
    """One cell of the matrix.

    Attributes:
        family: ``defence × attack`` or ``attack × attack``; q-values are corrected within family and target.
        row, column: A and B.
        scenario, condition, step: where A's rows stand in the table of measurements.
        attack, metric, unit: B and its headline figure.
        delta: the metric's margin.
        arm: of the defended attack, the one that is compared.
        arms: all that have rows.
        off_arm: of the undefended attack, the one that it is compared with.
        adaptive: whether an attacker who knows the defence was among them.
        gate_on, gate_off: the gate's answers that the compared seeds share.
        on, off: B's figure with A and without, over the seeds of the effect.
        effect: of the harm; its mean is positive where A helps B.
        half_width: of the 90 % interval of the effect's mean.
        aimed: A minus its matched control, the part that is aimed at B; None where there is none.
        matched: A minus an honest victim of the same clean accuracy, the part that is no lost accuracy; None where A
            makes no model.
        verdict, why: *weakens* is never said where no adaptive form is known.
        by_construction: A cannot matter here: every seed gave the very same figure of the very same artefact or model.
        screened, planned, tested: seeds of the screening that have the difference, fresh ones planned, fresh ones that
            have it. In a run of one stage all seeds are tested and none is screened or planned.
        usable: False where the defence costs the model its use; such a cell is never a win.
        suspect: the failed self-checks of B, with A or without; such a cell counts as open.
    """

    family: str
    target: str
    row: str
    column: str
    scenario: str
    condition: str
    step: int
    attack: str
    metric: str
    unit: str
    delta: float
    arm: str
    arms: tuple[str, ...]
    adaptive: bool
    gate_on: str
    gate_off: str
    on: Estimate
    off: Estimate
    effect: Effect | Undefined
    half_width: float | Undefined
    aimed: Effect | Undefined | None
    matched: Effect | Undefined | None
    verdict: CellVerdict
    why: str
    by_construction: bool
    screened: int
    planned: int
    tested: int
    usable: bool = True
    off_arm: str = ATTACK
    suspect: tuple[str, ...] = ()

    def part(self, reference: str) -> Effect | Undefined | None:
        """The comparison with another reference than A's absence: ``aimed`` or ``matched``."""
        return {"aimed": self.aimed, "matched": self.matched}[reference]

    @property
    def resolved(self) -> bool:
        return self.verdict in RESOLVED and not self.suspect

    @property
    def at_limit(self) -> bool:
        """Unresolved, though it had all the seeds that a cell may have and is known to within the margin."""
        known = not isinstance(self.half_width, Undefined) and self.half_width <= self.delta
        return self.verdict == "unresolved" and self.tested >= MAX_CONFIRMATION and known


@dataclass(frozen=True)
class Matrix:
    """All cells of a run.

    Attributes:
        side_effects: of every condition on the victims' accuracy.
        two_stage: whether fresh seeds were tested, or all seeds in one stage.
    """

    cells: tuple[Interaction, ...]
    side_effects: tuple[SideEffect, ...]
    two_stage: bool

    def of(self, target: str, family: str = "") -> tuple[Interaction, ...]:
        """The cells on one target, of one family or of both."""
        return tuple(one for one in self.cells if one.target == target and family in ("", one.family))


def tally(cells: Sequence[Interaction]) -> dict[str, int]:
    """How many cells came to what: every cell is counted under exactly one of these words, except *by construction*."""
    words = Counter(_word(one) for one in cells)
    order = (*RESOLVED, WEAKER, SUSPECT, AT_LIMIT, "unresolved", "too few seeds", "not assessed")
    found = {word: words[word] for word in order}
    return found | {"by construction": sum(one.by_construction for one in cells)}


def resolved_share(cells: Sequence[Interaction]) -> float | Undefined:
    """Resolved cells among those that were assessed."""
    assessed = [one for one in cells if one.verdict != "not assessed"]
    if not assessed:
        return Undefined("no cell was assessed")
    return sum(one.resolved for one in assessed) / len(assessed)


def _word(cell: Interaction) -> str:
    if cell.suspect and cell.verdict in RESOLVED:
        return SUSPECT
    if cell.verdict == "unresolved" and cell.why.startswith(NO_ADAPTIVE):
        return WEAKER
    return AT_LIMIT if cell.at_limit else cell.verdict
