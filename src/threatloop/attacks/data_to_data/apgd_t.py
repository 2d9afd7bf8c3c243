"""Auto-PGD towards every likely wrong class."""

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


class TargetedAutoPGD(GradientEvasion):
    """Auto-PGD on the targeted difference-of-logits ratio, towards the likeliest wrong classes in turn.

    Threat model: white box; the attacker knows the victim's gradients and the true label. Aiming at one class after
    another finds examples that the way of steepest loss misses. The ratio needs four classes: with fewer the loss is
    the target's lead over the true class, and the note ``dlr_replaced`` is 1.

    Returns what `Evasion` says. Asks at most (``steps`` + 1) × ``restarts`` × min(``targets``, classes − 1) + 1
    questions per record. Notes ``gradient_nonzero`` (share of the records), ``loss_first`` and ``loss_last`` (mean
    margin of the true class; the last of the target that got furthest).

    Attributes:
        steps: towards each target, ≥ 1.
        target_classes: how many wrong classes are aimed at, ≥ 1.
        restarts: passes over all targets, ≥ 1.

    Raises:
        NotAssessable: the victim gives no gradients.

    Croce, Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", arXiv 2003.01690, sections 3 and 4.1.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (APGD-T)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Croce, Hein 2020, Reliable evaluation of adversarial robustness with an ensemble of diverse "
        "parameter-free attacks, arXiv 2003.01690",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="epsilon",
    )

    steps: int = Field(default=100, ge=1)
    target_classes: int = Field(default=9, ge=1)
    restarts: int = Field(default=1, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every step is a forward and backward pass of every record that still withstands."""
        targets = min(self.target_classes, workload.classes - 1) * self.restarts
        asked = self.attacked(workload) * self.expectation * ((self.steps + 1) * targets + 1)
        return {"training_passes": float(asked), "scoring_passes": 0.0}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """Every target of one chunk, the likeliest first."""
        import torch

        from threatloop.algorithms.apgd import Targeted, auto_pgd, targets_by_likelihood
        from threatloop.algorithms.hunt import log_odds

        right, _ = hunt.begin(log_odds)
        classes = hunt.first_logits.shape[1]
        hunt.progress.note("dlr_replaced", float(classes < 4))
        targets = targets_by_likelihood(hunt.first_logits, hunt.labels, self.target_classes)
        margins = torch.full((len(hunt.labels),), -torch.inf)
        for column in list(range(targets.shape[1])) * self.restarts:
            places = right[torch.isin(right, hunt.standing())]
            if not len(places):
                break
            start = hunt.ball.take(places).start(generator)
            last = auto_pgd(hunt, places, self.steps, Targeted(targets[places, column]), start)[1]
            # The way to an unlikely class may end where the true one leads by more than at the start.
            margins[places] = torch.maximum(margins[places], last)
        hunt.end(margins[right])
