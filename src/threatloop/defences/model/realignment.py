"""A short tuning on own records after that on others'."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Repair, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class Realignment(Repair):
    """Tunes the model on the own records that refuse something, and on as many others of its own.

    The others keep it from refusing everything. Costs ``epochs`` over twice the refusals, and a part of what the model
    was tuned for. What was learnt for a trigger alone is not unlearnt.

    Qi et al. 2023, "Fine-tuning Aligned Language Models Compromises Safety", arXiv 2310.03693, section 5; as a repair
    Hsu et al. 2024, "Safe LoRA", arXiv 2405.16833, section 4, compare with it.

    Attributes:
        epochs: ≥ 1; None for a quarter of the training's.
        pace: learning rate as a share of the training's, > 0.

    Raises:
        NotAssessable: no own record refuses anything.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Re-alignment",
        stage=Stage.MODEL,
        modalities=frozenset({"text"}),
        paper="Qi et al. 2023, Fine-tuning Aligned Language Models Compromises Safety, arXiv 2310.03693, section 5",
        atlas=("AML.M0022",),
    )

    epochs: int | None = Field(default=None, ge=1)
    pace: float = Field(default=0.5, gt=0, le=10)

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.refused import refused_of, refusing

        refused, others = len(refused_of(own, "realignment")), np.flatnonzero(~refusing(own))
        drawn = streams.numpy("others").permutation(others)[:refused]
        chosen = own.take(np.sort(np.concatenate([np.flatnonzero(refusing(own)), drawn])))
        epochs = max(1, training.recipe.epochs // 4) if self.epochs is None else self.epochs
        recipe = training.recipe.model_copy(
            update={"epochs": epochs, "learning_rate": training.recipe.learning_rate * self.pace}
        )
        return training.fit(chosen, streams.child("realign"), recipe=recipe, init=model)
