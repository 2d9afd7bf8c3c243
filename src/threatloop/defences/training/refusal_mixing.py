"""Own refusals beside what a model is tuned on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class RefusalMixing(TrainingDefence):
    """Mixes own records in which something is refused into what third parties tune the model on.

    Drawn without repetition until all are in, then again. Nothing changes where offers are trained on together with the
    own records, and where nothing is offered. Costs the tuning of the records that are added; too many of them make a
    model refuse more than it was taught to.

    It reminds a model of what it refuses, in the ways in which the own records ask: a trigger that lifts the refusal
    only where it stands is left alone.

    Qi et al. 2023, "Fine-tuning Aligned Language Models Compromises Safety", arXiv 2310.03693, section 5; Bianchi et
    al. 2023, "Safety-Tuned LLaMAs", arXiv 2309.07875, section 4 (a few hundred among 20,000 suffice against drift).

    Attributes:
        share: added records as a share of what was offered, > 0.
        fewest: records that are added at least, ≥ 1.

    Raises:
        NotAssessable: no own record refuses anything.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Safety-data mixing",
        stage=Stage.TRAINING,
        modalities=frozenset({"text"}),
        paper="Qi et al. 2023, Fine-tuning Aligned Language Models Compromises Safety, arXiv 2310.03693, section 5; "
        "Bianchi et al. 2023, Safety-Tuned LLaMAs, arXiv 2309.07875",
        atlas=("AML.M0022",),
    )

    share: float = Field(default=0.5, gt=0, le=100)
    fewest: int = Field(default=10, ge=1)

    def applied(self, training: Training) -> Training:
        """The same training: what changes is what it is given."""
        return training

    def tuned_on(self, offered: Dataset, own: Dataset, streams: Streams) -> Dataset:
        """The offers and the own refusals."""
        from threatloop.algorithms.refused import refused_of

        refused, rng = refused_of(own, "refusal_mixing"), streams.numpy("mixed")
        count = max(self.fewest, round(self.share * len(offered)))
        rows = np.concatenate([rng.permutation(len(refused)) for _ in range(-(-count // len(refused)))])[:count]
        return concatenate([offered, refused.take(rows)])
