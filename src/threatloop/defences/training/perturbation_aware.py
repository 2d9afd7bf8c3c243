"""Alignment that holds when the model is moved afterwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training

RADII = {"vaccine": 0.02, "booster": 0.1}


class PerturbationAware(TrainingDefence):
    """Teaches a model its own records such that tuning it afterwards undoes less of what it refuses.

    Acts where training starts afresh, and leaves the tuning on offers alone. ``vaccine`` learns every batch from states
    that were moved, by ``radius`` times their norm, to where the loss is larger; ``booster`` adds ``weight`` times what
    a step of norm ``radius`` towards answering what is refused would gain, for beginnings of answers that hold nothing.
    Costs two and three times a training.

    It slows an attacker down at best: more examples or more epochs get through, and on the tiny model that this was
    tried on (byte-level, 40,000 weights, 60 steps of alignment) ten examples undid every refusal all the same.

    Huang, Hu, Liu 2024, "Vaccine", arXiv 2402.01109, section 4: the states behind every layer are moved there, here the
    first (vectors of tokens) and the last, since what lies between differs from model to model, and the radius is
    relative. Huang, Hu, Ilhan, Tekin, Liu 2024, "Booster", arXiv 2409.01586, section 3 (λ 5 and α 0.1), whose harmful
    examples are real ones; with λ 5 that model learnt nothing but to refuse.

    Attributes:
        kind: ``vaccine`` or ``booster``.
        radius: > 0; None for 0.02 of ``vaccine`` and 0.1 of ``booster``.
        weight: of ``booster``, > 0.

    Raises:
        NotAssessable: ``booster``, and no own record refuses anything.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Perturbation-aware alignment (Vaccine, Booster)",
        stage=Stage.TRAINING,
        modalities=frozenset({"text"}),
        paper="Huang, Hu, Liu 2024, Vaccine, arXiv 2402.01109, section 4; Huang et al. 2024, Booster, arXiv "
        "2409.01586, section 3",
        atlas=("AML.M0022",),
        excludes=("dp_sgd",),
    )

    kind: Literal["vaccine", "booster"] = "vaccine"
    radius: float | None = Field(default=None, gt=0)
    weight: float = Field(default=1.0, gt=0)

    def applied(self, training: Training) -> Training:
        """The training with such steps.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Robustness
        from threatloop.algorithms.method_training import with_parts

        radius = RADII[self.kind] if self.radius is None else self.radius
        return with_parts(training, robustness=Robustness(self.kind, radius, self.weight))
