"""Training on mixed pairs of records."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training


class Mixup(TrainingDefence):
    """Trains on weighted means of two records, with the same means of their labels: no record is ever seen as it is.

    One share per batch is drawn from a Beta distribution, and every record's partner is another of the batch. Costs
    nothing but a slower start; evens out scores between records and makes label noise and rare records harder to fit.

    Zhang, Cisse, Dauphin, Lopez-Paz 2018, "mixup: Beyond Empirical Risk Minimization", arXiv 1710.09412, section 2;
    α = 1 as for CIFAR (section 3.2).

    Attributes:
        alpha: of the Beta distribution, > 0: small leaves most records nearly as they are, 1 draws shares evenly.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Mixup",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Zhang, Cisse, Dauphin, Lopez-Paz 2018, mixup: Beyond Empirical Risk Minimization, arXiv 1710.09412",
        excludes=("dp_sgd",),
    )

    alpha: float = Field(default=1.0, gt=0)

    def applied(self, training: Training) -> Training:
        """The training on mixed records.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method_training import with_parts

        return with_parts(training, mixing=self.alpha)
