"""Activation clustering: a class that falls into two parts, of which one is of another class, loses that part."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

Mask = npt.NDArray[np.bool_]

SMALLEST = 10
"""Records of a class below which it is not divided."""
LIMITS = {"reclassified": 1.0, "size": 0.35, "silhouette": 0.3}
"""The first is the paper's, the second the usual one of implementations. The paper's silhouette of about 0.15 is of
other components: whitened honest classes of digits reach 0.2, poisoned ones 0.4 and more."""


class ActivationClustering(Sanitiser):
    """Divides what a model computes for each class in two and removes a part that does not belong there.

    A model is trained on everything by the victim's recipe; what it computes before its last layer is reduced to
    ``components`` dimensions and divided by 2-means, class by class. With ``reclassified`` a second model,
    which has seen no suspect record, classes the third-party records of each part: the part is poison if fewer of them
    are taken for their label than for the most frequent other class. With ``size`` the smaller part is, if its share is
    below ``limit``; with ``silhouette`` the smaller part is, if the two lie further apart than ``limit``. Costs two
    trainings (one for ``size`` and ``silhouette``).

    Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy, Srivastava 2018, "Detecting Backdoor Attacks on Deep Neural
    Networks by Activation Clustering", arXiv 1811.03728, sections 4 and 5. The paper's second model leaves out the
    clusters in question; here it is trained on the trusted records alone or, where nobody is trusted, without the
    smaller part of every class, and then only smaller parts are removed. The paper's independent components single out
    a few odd records of a class of a hundred; principal components of whitened classes (see
    `threatloop.algorithms.sanitising.whitened`) find its poison.

    Attributes:
        criterion: what makes a part poison.
        limit: of ``criterion``; None for 1 (records taken for their label, for each of the other class), a share of
            0.35, or a silhouette of 0.3.
        components: dimensions that are divided, 1 to 100.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Activation clustering",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Chen et al. 2018, Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering, "
        "arXiv 1811.03728, sections 4 and 5",
        atlas=("AML.M0007",),
    )

    criterion: Literal["reclassified", "size", "silhouette"] = "reclassified"
    limit: float | None = Field(default=None, gt=0)
    components: int = Field(default=10, ge=1, le=100)

    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        from threatloop.algorithms.activations import penultimate
        from threatloop.algorithms.clustering import reduced, smaller_half
        from threatloop.algorithms.sanitising import classes, suspects, whitened

        features = penultimate(training, training.fit(data, streams.child("helper")), data).rows
        places = whitened(features, data.y, trusted, streams)
        small, points = np.zeros(len(data), np.bool_), {}
        for label, rows in classes(data):
            if len(rows) >= SMALLEST:
                points[label] = reduced(places[rows], self.components)
                small[rows] = smaller_half(points[label], streams.integer(f"halves-{label}", 32))
        if self.criterion == "reclassified":
            bad = self._elsewhere(data, trusted, small, training, streams)
        else:
            bad = small & self._conspicuous(data, small, points, streams)
        return ~(bad & suspects(trusted))

    def _elsewhere(
        self, data: Dataset, trusted: Mask, small: Mask, training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        """The suspects of parts that a model without them takes for another class."""
        from threatloop.algorithms.sanitising import anchors, classes, suspects

        known = anchors(trusted)
        parts = (small, ~small) if known.any() else (small,)
        reference = training.fit(data.take(known if known.any() else ~small), streams.child("reference"))
        taken = training.answers([reference], data)[0].argmax(axis=1)
        bad, suspect = np.zeros(len(data), np.bool_), suspects(trusted)
        for label, rows in classes(data):
            for part in parts:
                inside = rows[part[rows] & suspect[rows]]
                counts = np.bincount(taken[inside], minlength=data.n_classes)
                right, counts[label] = counts[label], 0
                bad[inside] = right < (self.limit or LIMITS["reclassified"]) * counts.max()
        return bad

    def _conspicuous(
        self, data: Dataset, small: Mask, points: dict[int, npt.NDArray[np.float64]], streams: Streams
    ) -> npt.NDArray[np.bool_]:
        """The classes whose smaller part is too small, or too far from the rest."""
        from threatloop.algorithms.clustering import silhouette
        from threatloop.algorithms.sanitising import classes

        bad, limit = np.zeros(len(data), np.bool_), self.limit or LIMITS[self.criterion]
        for label, rows in classes(data):
            if label not in points:
                continue
            if self.criterion == "size":
                bad[rows] = small[rows].mean() < limit
            else:
                bad[rows] = silhouette(points[label], small[rows], streams.integer(f"silhouette-{label}", 32)) > limit
        return bad
