"""Adversarial training with projected gradient descent."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop import modality
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.schema import Schema
from threatloop.core.training import Training
from threatloop.modality.space import Norm, radius_problems


class AdversarialTraining(TrainingDefence):
    """Trains on the worst record in the ball around each, found by gradient steps from a random start.

    Every batch is moved against the network as it then is, and only what was moved is learned from. Costs ``steps`` + 1
    times the passes of plain training, some accuracy on records as they are, and often privacy: Song, Shokri, Mittal
    2019, arXiv 1905.10291.

    Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", arXiv
    1706.06083, sections 2.1 and 5: seven steps of a quarter of ε. The ball is the one of the evasion attacks: pixels in
    [0, 1]; columns within their bounds, whole numbers on their grid, categories one-hot.

    Attributes:
        norm: ``linf`` or ``l2``.
        epsilon: radius of the ball, > 0, in the units of the evasion attacks; None: their usual one.
        steps: gradient steps per batch, ≥ 1.
        step_size: as a share of ε, > 0; None: 1.75 / ``steps``.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Adversarial training (PGD)",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Madry, Makelov, Schmidt, Tsipras, Vladu 2018, Towards Deep Learning Models Resistant to Adversarial "
        "Attacks, arXiv 1706.06083, sections 2.1 and 5",
        atlas=("AML.M0003",),
        excludes=("trades",),
    )

    norm: Norm = "linf"
    epsilon: float | None = Field(default=None, gt=0)
    steps: int = Field(default=7, ge=1)
    step_size: float | None = Field(default=None, gt=0)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """An ε that is larger than the data's range or moves nothing."""
        return radius_problems(modality.of(schema).space(schema), self.norm, self.epsilon)

    def applied(self, training: Training) -> Training:
        """The training on moved records.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Adversary
        from threatloop.algorithms.method_training import with_parts

        size = 1.75 / self.steps if self.step_size is None else self.step_size
        return with_parts(training, adversary=Adversary(self.norm, self.epsilon, self.steps, size))
