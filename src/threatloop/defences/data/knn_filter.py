"""Deep k-nearest neighbours: records that live among another class are left out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class KnnFilter(Sanitiser):
    """Removes third-party records whose label is not the most frequent one among their nearest neighbours.

    Neighbours are near in what a model, trained by the victim's recipe, computes before its last layer; their votes
    weigh inversely to the size of their class. Costs one training, and honest records near a border.

    Peri, Gupta, Huang, Fowl, Zhu, Feizi, Goldstein, Dickerson 2020, "Deep k-NN Defense against Clean-label Data
    Poisoning Attacks", arXiv 1909.13374, section 4. They know no trusted records. Here the model learns from these
    alone and they alone vote, since poison cannot bend what never saw it; where nobody is trusted, everything learns
    and votes, and poison that the model has learnt lies among the class that it claims.

    Attributes:
        neighbours: for each voter of an average class, in (0, 4]. The paper needs 1 or more, so that poison is
            outvoted; trusted voters are no poison, and fewer of them cost fewer honest records.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Deep k-nearest-neighbour filter",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Peri et al. 2020, Deep k-NN Defense against Clean-label Data Poisoning Attacks, arXiv 1909.13374, "
        "section 4",
        atlas=("AML.M0007",),
    )

    neighbours: float = Field(default=0.5, gt=0, le=4)

    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        from threatloop.algorithms.activations import penultimate
        from threatloop.algorithms.nearest import plurality
        from threatloop.algorithms.sanitising import anchors, suspects

        known = anchors(trusted)
        voters = np.flatnonzero(known if known.any() else np.ones_like(known))
        model = training.fit(data.take(voters), streams.child("helper"))
        features = penultimate(training, model, data).rows
        rows = np.flatnonzero(suspects(trusted))
        occurring = len(np.unique(data.y[voters]))
        k = max(1, round(self.neighbours * len(voters) / occurring))
        kept = np.ones(len(data), np.bool_)
        kept[rows] = plurality(features, data.y, rows, voters, k) == data.y[rows]
        return kept
