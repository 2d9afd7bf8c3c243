"""Spectral signatures: what stands out along a class's widest direction is left out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

MARGIN = 1.5
"""Records removed for each expected poison."""


class SpectralSignatures(Sanitiser):
    """Removes the third-party records that lie furthest out along the top singular direction of their class.

    A model is trained on everything by the victim's recipe. In what it computes before its last layer, poison that a
    class's label hides lies apart from the class, and the widest direction of the class points to it. From every class
    1.5 times the expected poison is removed, there or not: with the default 15 % of all records, all of them from third
    parties. Costs one training and that many honest records.

    Tran, Li, Madry 2018, "Spectral Signatures in Backdoor Attacks", arXiv 1811.00636, algorithm 1. They know no trusted
    records: those are never removed.

    Attributes:
        share: expected poison among the records of a poisoned class, in (0, 0.5].
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Spectral signatures",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Tran, Li, Madry 2018, Spectral Signatures in Backdoor Attacks, arXiv 1811.00636, algorithm 1",
        atlas=("AML.M0007",),
    )

    share: float = Field(default=0.1, gt=0, le=0.5)

    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        from threatloop.algorithms.activations import penultimate
        from threatloop.algorithms.sanitising import classes, suspects

        model = training.fit(data, streams.child("helper"))
        features = penultimate(training, model, data).rows
        suspect, kept = suspects(trusted), np.ones(len(data), np.bool_)
        for _, rows in classes(data):
            scores = outlyingness(features[rows])[suspect[rows]]
            worst = np.argsort(-scores, kind="stable")[: round(MARGIN * self.share * len(rows))]
            kept[rows[suspect[rows]][worst]] = False
        return kept


def outlyingness(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Squared length of each centred row along the top right singular vector of them all, (n,)."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    found: npt.NDArray[np.float64] = (centred @ direction) ** 2
    return found
