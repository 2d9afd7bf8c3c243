"""TRADES: a stated trade-off between accuracy and robustness."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop import modality
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.schema import Schema
from threatloop.core.training import Training
from threatloop.modality.space import Norm, radius_problems


class Trades(TrainingDefence):
    """Trains on the records as they are, and keeps answers the same in the ball around each.

    Loss: cross-entropy of the record, plus ``beta`` times the divergence from its answer to that of the record in the
    ball where the two differ most, found by gradient steps on that divergence from next to the record. Costs
    ``steps`` + 2 times the passes of plain training.

    Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan 2019, "Theoretically Principled Trade-off between Robustness and Accuracy",
    arXiv 1901.08573, algorithm 1 and section 5.1: ten steps of a quarter of ε, 1/λ = 6.

    Attributes:
        beta: weight of the divergence (1/λ), > 0: larger is more robust and less accurate.
        norm: ``linf`` or ``l2``.
        epsilon: radius of the ball, > 0, in the units of the evasion attacks; None: their usual one.
        steps: gradient steps per batch, ≥ 1.
        step_size: as a share of ε, > 0; None: 2.5 / ``steps``.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="TRADES adversarial training",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan 2019, Theoretically Principled Trade-off between Robustness "
        "and Accuracy, arXiv 1901.08573, algorithm 1",
        atlas=("AML.M0003",),
        excludes=("adversarial_training", "dp_sgd"),
    )

    beta: float = Field(default=6.0, gt=0)
    norm: Norm = "linf"
    epsilon: float | None = Field(default=None, gt=0)
    steps: int = Field(default=10, ge=1)
    step_size: float | None = Field(default=None, gt=0)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """An ε that is larger than the data's range or moves nothing."""
        return radius_problems(modality.of(schema).space(schema), self.norm, self.epsilon)

    def applied(self, training: Training) -> Training:
        """The training with the divergence in its loss.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Adversary
        from threatloop.algorithms.method_training import with_parts

        size = 2.5 / self.steps if self.step_size is None else self.step_size
        return with_parts(training, adversary=Adversary(self.norm, self.epsilon, self.steps, size, self.beta))
