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
"""Most records removed for each expected poison."""
ENOUGH = 10
"""Trusted records of a class from which a quantile can be taken."""
MEDIAN = 0.4549
"""Of the square of a standard normal number."""


class SpectralSignatures(Sanitiser):
    """Removes the third-party records that lie furthest out along the top singular direction of their class.

    A model is trained on everything by the victim's recipe. In what it computes before its last layer, poison that a
    class's label hides lies apart from the class, and the widest direction of the class points to it. At most 1.5 times
    the expected poison of a class is removed. Costs one training and some honest records, about 5 % on digits.

    Tran, Li, Madry 2018, "Spectral Signatures in Backdoor Attacks", arXiv 1811.00636, algorithm 1. Two things are
    added, since among the hundred records of a small class the plain one finds half of the poison: classes are whitened
    (see `threatloop.algorithms.sanitising.whitened`), and what lies no further out than trusted records do is spared
    (without trusted records, than a normal distribution of the same median would). ``whitened: false``, ``spare: 0``
    and ``share: 0.1`` are the paper's.

    Attributes:
        share: expected poison among the records of a poisoned class, in (0, 0.6].
        whitened: compare in units of how classes spread by themselves.
        spare: share of a class's trusted records that lie nearer than anything removed, in [0, 1).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Spectral signatures",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Tran, Li, Madry 2018, Spectral Signatures in Backdoor Attacks, arXiv 1811.00636, algorithm 1",
        atlas=("AML.M0007",),
    )

    share: float = Field(default=0.3, gt=0, le=0.6)
    whitened: bool = True
    spare: float = Field(default=0.99, ge=0, lt=1)

    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        from threatloop.algorithms.activations import penultimate
        from threatloop.algorithms.sanitising import anchors, classes, suspects, whitened

        model = training.fit(data, streams.child("helper"))
        features = penultimate(training, model, data).rows
        places = whitened(features, data.y, trusted, streams) if self.whitened else features.astype(np.float64)
        suspect, known, kept = suspects(trusted), anchors(trusted), np.ones(len(data), np.bool_)
        for _, rows in classes(data):
            scores = outlyingness(places[rows] if self.whitened else places[rows] - places[rows].mean(axis=0))
            mine, limit = suspect[rows], self._limit(scores, known[rows])
            order = np.argsort(-scores[mine], kind="stable")[: round(MARGIN * self.share * len(rows))]
            worst = rows[mine][order]
            kept[worst[scores[mine][order] > limit]] = False
        return kept

    def _limit(self, scores: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> float:
        """The score up to which records are spared."""
        if self.spare == 0:
            return -1.0
        if known.sum() >= ENOUGH:
            return float(np.quantile(scores[known], self.spare))
        from scipy.stats import chi2

        return float(np.median(scores) * chi2.ppf(self.spare, 1) / MEDIAN)


def outlyingness(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Squared length of each row along the top right singular vector of them all, (n,)."""
    direction = np.linalg.svd(places, full_matrices=False)[2][0]
    found: npt.NDArray[np.float64] = (places @ direction) ** 2
    return found
