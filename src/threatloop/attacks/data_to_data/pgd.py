"""Projected gradient descent on the record."""

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


class PGD(GradientEvasion):
    """Gradient steps on the loss, projected back into the ball, from random starts.

    Threat model: white box; the attacker knows the victim's gradients and the true label. A record is left as soon as
    any point on its way fools the victim; the last one alone, as first published, would miss some. The loss is the
    log-odds against the true class: cross-entropy by another scale, that does not vanish where the victim is sure.

    Where the processor multiplies bfloat16 faster, convolutions are rounded to it in the first nine tenths of the
    steps; whether an answer is wrong is always decided in full precision.

    Returns what `Evasion` says. Asks at most 2 × (``steps`` + 1) × ``restarts`` + 1 questions per record, seldom more
    than half of that. Notes
    ``gradient_nonzero`` (share of the records), ``loss_first`` and ``loss_last`` (mean margin of the true class).

    Attributes:
        steps: gradient steps per restart, ≥ 1.
        step_size: in units of ε's own scale; 2.5 ε / ``steps`` where none is given, which reaches every point.
        restarts: independent random starts, ≥ 1; each takes on those that withstood the ones before.
        random_start: start anywhere in the ball; False starts at the record, once.

    Raises:
        NotAssessable: the victim gives no gradients.

    Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", arXiv
    1706.06083, section 2.1 and 5; Athalye, Carlini, Wagner 2018, arXiv 1802.00420 (expectation over randomness).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (PGD)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Madry, Makelov, Schmidt, Tsipras, Vladu 2018, Towards Deep Learning Models Resistant to Adversarial "
        "Attacks, arXiv 1706.06083",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="epsilon",
    )

    steps: int = Field(default=40, ge=1)
    step_size: float | None = Field(default=None, gt=0)
    restarts: int = Field(default=1, ge=1)
    random_start: bool = True

    def work(self, workload: Workload) -> dict[str, float]:
        """Every step is a forward and backward pass of every record that still withstands."""
        asked = self.attacked(workload) * self.expectation * (self.steps * self.restarts + 1)
        return {"training_passes": float(asked), "scoring_passes": 0.0}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """All restarts of one chunk."""
        from threatloop.algorithms.ascent import projected_ascent

        radius = hunt.ball.radius
        size = 2.5 * radius / self.steps if self.step_size is None else self.step_size
        projected_ascent(hunt, self.steps, size, self.restarts, self.random_start, generator)
