"""The fast gradient sign method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class FGSM(GradientEvasion):
    """One step to the rim of the ball, along the gradient (l2) or its sign (linf).

    Threat model: white box; the attacker knows the victim's gradients and the true label. The cheapest attack and the
    weakest: a victim that withstands it may fall to PGD. Optimal against linear models. A single step along a curved
    loss can miss even without a bound, so the check at the whole range is left to the iterated attacks.

    Returns what `Evasion` says. Asks two questions per record and answer.

    Raises:
        NotAssessable: the victim gives no gradients.

    Goodfellow, Shlens, Szegedy 2015, "Explaining and Harnessing Adversarial Examples", arXiv 1412.6572, section 4.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (FGSM)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Goodfellow, Shlens, Szegedy 2015, Explaining and Harnessing Adversarial Examples, arXiv 1412.6572",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="epsilon",
    )

    def work(self, workload: Workload) -> dict[str, float]:
        """A forward and backward pass, and another forward pass."""
        asked = float(self.attacked(workload) * self.expectation)
        return {"training_passes": asked, "scoring_passes": asked}

    def unbounded(self) -> None:
        """None: one step wins at no radius for certain."""

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:  # noqa: ARG002
        """One step of every record that the victim gets right."""
        from threatloop.algorithms.hunt import log_odds, margin

        right, gradient = hunt.begin(log_odds)
        if not len(right):
            return
        ball = hunt.ball.take(right)
        moved = ball.harden(ball.step(ball.origin, gradient, float(ball.radius)))
        logits = hunt.ask(moved)
        hunt.catch(right, moved, logits)
        hunt.end(margin(logits, hunt.labels[right]))
