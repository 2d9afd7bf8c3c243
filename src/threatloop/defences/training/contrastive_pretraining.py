"""Learning what records look like before their labels are read."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from threatloop.core.assets import Architecture
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.schema import Schema
from threatloop.core.training import Training


class ContrastivePretraining(TrainingDefence):
    """Teaches all layers but the last to tell records apart without labels; then the labels are learned on top.

    Two views of each record are to be told from those of the others of a batch. Images: random crops in other contrast,
    brightness and noise. Tables: the row, and the row with 60 % of its columns from other rows. With ``tune: head`` the
    labels change the last layer only, so that wrong labels and triggers teach the features nothing. Costs some
    accuracy with ``head``, and the time of the pre-training.

    Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of Visual Representations"
    (SimCLR), arXiv 2002.05709; Bahri, Jiang, Tay, Metzler 2021, "SCARF", arXiv 2106.15147. As a defence: He, Zhang
    2021, "Quantifying and Mitigating Privacy Risks of Contrastive Learning", arXiv 2102.04140 (membership is better
    hidden); Huang, Li, Wu, Qin, Ren 2022, arXiv 2202.03423 (backdoors).

    Attributes:
        epochs: passes without labels, ≥ 1; None: as many as with labels, and at least 300 steps.
        batch_size: records that are told apart at once, ≥ 2.
        temperature: of the similarities, > 0.
        tune: what the labels change: the last layer (``head``) or ``all``.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Contrastive pre-training",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Chen, Kornblith, Norouzi, Hinton 2020, A Simple Framework for Contrastive Learning of Visual "
        "Representations, arXiv 2002.05709; Bahri, Jiang, Tay, Metzler 2021, SCARF, arXiv 2106.15147",
        excludes=("dp_sgd",),
    )

    epochs: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=2)
    temperature: float = Field(default=0.5, gt=0)
    tune: Literal["head", "all"] = "head"

    def unfit(self, schema: Schema, architecture: Architecture) -> list[str]:
        """A network without a hidden layer."""
        found = self.problems(schema, architecture.name)
        if architecture.name == "mlp" and not architecture.parameters.get("hidden", (1,)):
            found.append("the network has no hidden layer to be taught; give it one (`parameters: {hidden: [64, 64]}`)")
        return found

    def applied(self, training: Training) -> Training:
        """The training with what comes before it.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Pretraining
        from threatloop.algorithms.method_training import with_parts

        parts = Pretraining(self.epochs, self.batch_size, self.temperature, self.tune)
        return with_parts(training, pretraining=parts)
