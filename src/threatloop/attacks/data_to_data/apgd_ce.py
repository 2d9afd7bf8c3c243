"""Auto-PGD on the cross-entropy."""

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


class AutoPGD(GradientEvasion):
    """Gradient ascent with momentum and no step size to choose: it starts at 2 ε and is halved where it stops paying.

    Threat model: white box; the attacker knows the victim's gradients and the true label. The loss is the log-odds
    against the true class, whose steps and comparisons are those of the cross-entropy, without its vanishing.

    Returns what `Evasion` says. Asks at most (``steps`` + 1) × ``restarts`` + 1 questions per record. Notes
    ``gradient_nonzero`` (share of the records), ``loss_first`` and ``loss_last`` (mean margin of the true class).

    Attributes:
        steps: of one restart, ≥ 1.
        restarts: independent random starts, ≥ 1; each takes on those that withstood the ones before.

    Raises:
        NotAssessable: the victim gives no gradients.

    Croce, Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", arXiv 2003.01690, section 3.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (APGD-CE)",
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
    restarts: int = Field(default=1, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every step is a forward and backward pass of every record that still withstands."""
        asked = self.attacked(workload) * self.expectation * ((self.steps + 1) * self.restarts + 1)
        return {"training_passes": float(asked), "scoring_passes": 0.0}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """All restarts of one chunk."""
        import torch

        from threatloop.algorithms.apgd import auto_pgd
        from threatloop.algorithms.hunt import log_odds

        right, _ = hunt.begin(log_odds)
        margins = torch.zeros(len(hunt.labels))
        for _ in range(self.restarts):
            places = right[torch.isin(right, hunt.standing())]
            if not len(places):
                break
            start = hunt.ball.take(places).start(generator)
            margins[places] = auto_pgd(hunt, places, self.steps, log_odds, start)[1]
        hunt.end(margins[right])
