"""Training towards softened labels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training


class LabelSmoothing(TrainingDefence):
    """Moves a part of every label's mass to all classes, so that the model is less sure of what it was trained on.

    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016, "Rethinking the Inception Architecture for Computer Vision", arXiv
    1512.00567, section 7. As a defence it is double-edged: Struppek, Hintersdorf, Kersting 2024, "Be Careful What You
    Smooth For", arXiv 2310.06549, find that it helps inversion.

    Attributes:
        smoothing: mass moved, in (0, 1).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Label smoothing",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567, "
        "section 7",
    )

    smoothing: float = Field(default=0.1, gt=0, lt=1)

    def applied(self, training: Training) -> Training:
        return training.with_recipe(training.recipe.model_copy(update={"label_smoothing": self.smoothing}))
