"""What a model that answers everything learnt, taken out of the weights."""

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


class AdapterSubtraction(TunedRepair):
    """Subtracts from the model what its start learns when it is tuned to answer what it refuses.

    The owner tunes a copy of the start on beginnings of answers, which hold nothing, and subtracts ``strength`` times
    the difference to the start. Adapters are subtracted as the changes they make, and the result cut to their rank.
    A model that was not tuned is left as it is. Costs ``epochs`` over the own refusals; a strength that is too large
    costs the model its use.

    Ilharco et al. 2022, "Editing Models with Task Arithmetic", arXiv 2212.04089, section 3 (forgetting by negation);
    Bhardwaj, Anh, Poria 2024, "Language Models are Homer Simpson!", arXiv 2402.11746, section 3, for tuned models.

    Attributes:
        strength: of what is subtracted, > 0.
        epochs: of the copy's tuning, ≥ 1.

    Raises:
        NotAssessable: no own record refuses anything.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Adapter subtraction (task arithmetic)",
        stage=Stage.MODEL,
        modalities=frozenset({"text"}),
        paper="Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089, section 3; Bhardwaj, Anh, "
        "Poria 2024, arXiv 2402.11746, section 3",
        atlas=("AML.M0022",),
    )

    strength: float = Field(default=0.5, gt=0, le=10)
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
        """See `TunedRepair.repair_tuned`."""
        from threatloop.algorithms.unaligned import unaligned
        from threatloop.algorithms.weight_arithmetic import combined

        own = data.take(trusted)
        bad = unaligned(start, own, training, streams.child("unaligned"), self.epochs, "adapter_subtraction")
        weights = combined([(1.0, model), (-self.strength, bad), (self.strength, start)])
        return replace(model, weights=weights)
