"""Adversarial examples of minimal norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class FAB(GradientEvasion):
    """Walks along the decision boundary towards each record, by projections onto its linear approximation.

    Threat model: white box; the attacker knows the victim's gradients and the true labels. The attack minimises the
    distance: ``epsilon`` only says which distances count as a success, and how far random restarts begin at most. It
    needs no step size.

    Returns what `Evasion` says. Asks one question per record, step and run, 5 more per run for the final search, and
    two at the start and the end. The gradients of all classes come from one answer, so a step takes as many backward
    passes as there are classes. Every best point is pushed out by .01 %: on the boundary itself, rounding decides.

    Croce & Hein 2020, "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack", arXiv
    1907.02044, algorithm 1. The paper takes 100 steps and 1 to 100 restarts. A point that was drawn back from an
    adversarial one reuses the plane of that point.

    Attributes:
        steps: of each run, ≥ 1.
        restarts: runs, ≥ 1: the first from the record, the others from random points around it.

    Raises:
        NotAssessable: the victim gives no gradients.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples of minimal norm (FAB)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Croce & Hein 2020, Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack, arXiv "
        "1907.02044, algorithm 1",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="steps",
    )
    minimises: ClassVar[bool] = True

    steps: int = Field(default=100, ge=1)
    restarts: int = Field(default=2, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """A step is a forward pass and as many backward passes, twice as costly, as there are classes."""
        steps = self.attacked(workload) * self.restarts * self.steps * self.expectation
        return {"training_passes": steps * (1 + 2 * workload.classes) / 3, "scoring_passes": 0.0}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """All runs on the records of a chunk that the victim gets right."""
        from threatloop.algorithms.fab_hunt import FabHunt
        from threatloop.algorithms.hunt import log_odds, margin

        right, _ = hunt.begin(log_odds)
        if not len(right):
            return
        with FabHunt(hunt, right, hunt.trial.space.reach(hunt.trial.norm), generator) as walk:
            for run in range(self.restarts):
                walk.run(self.steps, restart=run > 0)
        hunt.end(margin(hunt.ask(walk.examples()), hunt.labels[right]))
