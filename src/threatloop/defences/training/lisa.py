"""Tuning by turns on what is offered and on own refusals, each turn near the end of the last."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class Lisa(TrainingDefence):
    """Tunes for some steps on offers, then on own records that refuse, pulled towards where the last turn ended.

    Without the pull each turn undoes the other; with it, the model drifts to where both losses are small. Offers get
    all steps of the tuning recipe, and own turns come in addition, the last one behind the last offer: costs
    ``own_steps / offered_steps`` of the tuning again. A tuning that is shorter than a turn has one own turn. Changes
    nothing where training starts afresh. Too many own turns make a model refuse more than it was taught to. A trigger
    that lifts the refusal only where it stands is left alone.

    Huang, Hu, Ilhan, Tekin, Liu 2024, "Lisa: Lazy Safety Alignment for Large Language Models against Harmful
    Fine-tuning Attack", arXiv 2405.18641, algorithm 1. Deviates from it in the turns' length, which is scaled to short
    tunings, and in that it ends with an own turn. Steps share one optimiser. The pull is added behind the clipping of
    gradients.

    Attributes:
        strength: ρ: half of it times the squared distance is added to the loss of a batch, > 0 (1 in the paper).
        offered_steps: of a turn on offers, ≥ 1.
        own_steps: of a turn on own records, ≥ 1.

    Raises:
        NotAssessable: no own record refuses anything; or the training is the user's own function, or private.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Lazy safety alignment (Lisa)",
        stage=Stage.TRAINING,
        modalities=frozenset({"text"}),
        paper="Huang, Hu, Ilhan, Tekin, Liu 2024, Lisa: Lazy Safety Alignment for Large Language Models against "
        "Harmful Fine-tuning Attack, arXiv 2405.18641, algorithm 1",
        atlas=("AML.M0022",),
        excludes=("proximal_tuning", "dp_sgd"),
    )

    strength: float = Field(default=1.0, gt=0)
    offered_steps: int = Field(default=5, ge=1)
    own_steps: int = Field(default=5, ge=1)

    def applied(self, training: Training) -> Training:
        """The same training: what changes is how it goes on from a model."""
        return training

    def tuned_by(self, training: Training, own: Dataset, streams: Streams) -> Training:  # noqa: ARG002
        """The training with turns on own refusals, and the pull."""
        from threatloop.algorithms.method import Turns
        from threatloop.algorithms.method_training import with_parts
        from threatloop.algorithms.refused import refused_of

        turns = Turns(refused_of(own, "lisa"), self.offered_steps, self.own_steps)
        return with_parts(training, proximal=self.strength, turns=turns)
