"""The nearest adversarial example in l2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class CarliniWagner(GradientEvasion):
    """Minimises the l2 distance plus a constant times the victim's lead; the constant is found by binary search.

    Threat model: white box; the attacker knows the victim's gradients and the true label. Its distances give robust
    accuracy at every ε at once; ``epsilon`` only says at which one the headline figure is read.

    Against the paper: changes are projected onto the bounds instead of mapped through tanh, which has no gradient at
    pixels that are black or white; the first constant is the one that would be right if the victim were linear, instead
    of .001 for all; the step size falls along a cosine; and at the end every example is pulled back to the boundary by
    bisection. In tables numbers move, whole ones on their grid, and categories stay.

    Returns what `Evasion` says, for minimised distances also beyond ε. Asks at most ``searches`` × ``steps`` + 9
    questions per record. Notes ``gradient_nonzero`` (share of the records), ``loss_first`` and ``loss_last`` (mean
    margin of the true class).

    Attributes:
        searches: constants that are tried, ≥ 1.
        steps: of Adam for each constant, ≥ 1.
        learning_rate: of Adam, in units of ε.
        confidence: lead of the wrong class that is sought, in logits, ≥ 0.

    Raises:
        NotAssessable: the victim gives no gradients, or no number may change.

    Carlini, Wagner 2017, "Towards Evaluating the Robustness of Neural Networks", arXiv 1608.04644, section VI-A.
    """

    minimises: ClassVar[bool] = True

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Nearest adversarial examples (Carlini-Wagner)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Carlini, Wagner 2017, Towards Evaluating the Robustness of Neural Networks, arXiv 1608.04644",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="epsilon",
    )

    norm: Literal["l2"] = "l2"
    searches: int = Field(default=9, ge=1)
    steps: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    confidence: float = Field(default=0.0, ge=0)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every step is a forward and backward pass of every record."""
        asked = self.attacked(workload) * self.expectation * (self.searches * self.steps + 1)
        return {"training_passes": float(asked), "scoring_passes": 8.0 * self.attacked(workload) * self.expectation}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:  # noqa: ARG002
        """All constants of one chunk."""
        from threatloop.algorithms.hunt import margin
        from threatloop.algorithms.penalty import Penalty
        from threatloop.core.errors import NotAssessable

        if not hunt.trial.space.numeric.any():
            raise NotAssessable("it moves numbers, and every column that may change is categorical")
        right, gradient = hunt.begin(margin)
        if not len(right):
            return
        penalty = Penalty(hunt, right, gradient, self.confidence)
        for _ in range(self.searches):
            penalty.search(self.steps, self.learning_rate)
        penalty.pull_back()
        hunt.end(penalty.margins)
