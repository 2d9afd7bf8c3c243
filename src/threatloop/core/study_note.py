"""What a run says about seeds that were spent in two stages: part of ``run.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

DEFENCE_FAMILY = "defence × attack"
ATTACK_FAMILY = "attack × attack"


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedCell(_Note):
    """What the screening seeds decided about one cell of the interaction matrix, before any fresh seed was run.

    Attributes:
        family: ``defence × attack`` or ``attack × attack``; with the target it names the family of the cell's test.
        row: the condition, or the attack of a chain's first step.
        column: the attacked scenario.
        arm: of the defended attack, the one with the larger mean harm on the screening seeds; the only one tested.
        off_arm: of the undefended attack, likewise.
        gate_on, gate_off: the commonest pair of the gate's answers; seeds with other answers are left out.
        seeds: fresh seeds that were planned; 0 = not worth confirming.
    """

    target: str
    family: str
    row: str
    column: str
    scenario: str
    condition: str
    arm: str
    off_arm: str = "attack"
    gate_on: str = ""
    gate_off: str = ""
    seeds: int


class StageCost(_Note):
    """What one stage spent in the run that wrote this folder; what was in the store already cost it nothing.

    Attributes:
        cpu_seconds: processor time of the run and its workers; None where they ran elsewhere.
        seconds: by the clock.
    """

    executed: int
    cached: int
    failed: int
    models_trained: int
    models_requested: int
    cpu_seconds: float | None
    seconds: float


class StudyNote(_Note):
    """How a study divided its seeds: a row's seed number tells its stage.

    Attributes:
        screening_seeds: seeds below this number screened; those from it on are fresh and were tested once.
        most: most fresh seeds that one cell may get.
        exhaust: cells that would probably stay open got that many too.
        planned: every cell; empty while only the screening was run.
        screening: what the screening cost; what the run itself says of its tasks is the second stage, for which the
            screening lies in the store.
    """

    screening_seeds: int
    most: int
    exhaust: bool = False
    planned: tuple[PlannedCell, ...] = ()
    screening: StageCost | None = None
