"""Training that ends before it learns its records by heart."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training


class EarlyStopping(TrainingDefence):
    """Keeps the network of the epoch with the smallest loss on records that are held out, or trains for fewer epochs.

    With ``share``, all records are trained on for that share of the recipe's epochs, the learning rate falling
    accordingly. Without, a part of the records is held out and never learned from, and training ends when nothing has
    improved for ``patience`` epochs; the notes hold ``kept_epoch`` and ``held_out``.

    Costs the records that are held out; saves time. Against membership inference it is the benchmark that other
    defences are held to: Song, Mittal 2021, "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv
    2003.10595, section 5.

    Prechelt 1998, "Early Stopping - But When?" (Neural Networks: Tricks of the Trade, LNCS 1524), section 2.

    Attributes:
        held: share of the records that is held out, in (0, .5].
        patience: epochs without improvement after which training ends, ≥ 1.
        share: of the recipe's epochs, in (0, 1); None finds the best epoch.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Early stopping",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Prechelt 1998, Early Stopping - But When?, Neural Networks: Tricks of the Trade, LNCS 1524, section 2",
        excludes=("dp_sgd",),
    )

    held: float = Field(default=0.1, gt=0, le=0.5)
    patience: int = Field(default=5, ge=1)
    share: float | None = Field(default=None, gt=0, lt=1)

    def applied(self, training: Training) -> Training:
        """The shorter training.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Stopping
        from threatloop.algorithms.method_training import with_parts

        if self.share is None:
            return with_parts(training, stopping=Stopping(self.held, self.patience))
        epochs = max(1, round(self.share * training.recipe.epochs))
        return training.with_recipe(training.recipe.model_copy(update={"epochs": epochs}))
