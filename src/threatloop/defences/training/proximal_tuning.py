"""Tuning that stays near what it starts from."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training


class ProximalTuning(TrainingDefence):
    """Pulls the weights, or those of the adapter, towards where tuning started, the more the further they are away.

    Changes nothing where training starts afresh. Costs next to no time, and what an honest customer wants the model to
    learn that lies far away. An attacker who may tune for longer, or again from the result, gets as far in the end.

    Huang, Hu, Ilhan, Tekin, Liu 2024, "Lisa: Lazy Safety Alignment for Large Language Models against Harmful
    Fine-tuning Attack", arXiv 2405.18641, section 4: its proximal term, without its turns between own records and
    offers, which `lisa` takes. The pull is added behind the clipping of gradients.

    Attributes:
        strength: ρ: half of it times the squared distance is added to the loss of a batch, > 0 (1 in the paper).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Proximal tuning",
        stage=Stage.TRAINING,
        modalities=frozenset({"text"}),
        paper="Huang, Hu, Ilhan, Tekin, Liu 2024, Lisa: Lazy Safety Alignment for Large Language Models against "
        "Harmful Fine-tuning Attack, arXiv 2405.18641, section 4",
        atlas=("AML.M0022",),
    )

    strength: float = Field(default=1.0, gt=0)

    def applied(self, training: Training) -> Training:
        """The training with the pull.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method_training import with_parts

        return with_parts(training, proximal=self.strength)
