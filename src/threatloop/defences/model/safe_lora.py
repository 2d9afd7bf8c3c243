"""Only such changes of the weights as alignment made too."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Stage, TunedRepair
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class SafeLora(TunedRepair):
    """Projects what tuning changed in a matrix onto the directions of alignment, where the two have little in common.

    The directions are those in which a copy of the start that its owner tuned to answer what it refuses differs from
    it; the paper takes the difference between a base model and its chat version, which not everyone has. The leading
    ones that hold ``energy`` of it, as an exact projection in place of the paper's product, which scales with the
    weights. Adapters keep their rank. A model that was not tuned is left as it is.

    Costs ``epochs`` over the own refusals and a decomposition for each matrix; what the tuning was for, as far as it
    lies elsewhere. Vectors, such as those of normalisations, stay as they were tuned: an adapter has none.

    Hsu, Tsai, Lin, Chen, Yu, Huang 2024, "Safe LoRA: the Silver Lining of Reducing Safety Risks when Fine-tuning Large
    Language Models", arXiv 2405.16833, section 3 (threshold .35).

    Attributes:
        threshold: cosine between a change and its projection below which it is projected, in (0, 1].
        energy: of the difference that the directions hold, in (0, 1].
        epochs: of the copy's tuning, ≥ 1.

    Raises:
        NotAssessable: no own record refuses anything.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Safe LoRA",
        stage=Stage.MODEL,
        modalities=frozenset({"text"}),
        paper="Hsu et al. 2024, Safe LoRA: the Silver Lining of Reducing Safety Risks when Fine-tuning Large Language "
        "Models, arXiv 2405.16833, section 3",
        atlas=("AML.M0022",),
    )

    threshold: float = Field(default=0.35, gt=0, le=1)
    energy: float = Field(default=0.9, gt=0, le=1)
    epochs: int = Field(default=2, ge=1)

    def repair_tuned(
        self,
        model: Model,
        start: Model,
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,
        streams: Streams,
    ) -> Model:
        """See `TunedRepair.repair_tuned`; the notes say how many matrices were ``projected``."""
        from threatloop.algorithms.unaligned import unaligned
        from threatloop.algorithms.weight_arithmetic import projected

        bad = unaligned(start, data.take(trusted), training, streams.child("unaligned"), self.epochs, "safe_lora")
        weights, turned = projected(model, start, bad, self.threshold, self.energy)
        return replace(model, weights=weights, notes={**model.notes, "projected": turned})
