"""Near-duplicates: of records that are all but the same one stays, and none where their labels differ."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

Mask = npt.NDArray[np.bool_]

SAMPLE = 1_000
"""Records that the usual distance is taken from."""


class NearDuplicates(Sanitiser):
    """Removes third-party records that repeat others.

    Records are near-identical if they lie within ``reach`` times the usual distance to a nearest neighbour, in encoded
    records on a common scale. Of such a group one record stays, a trusted one if there is any; where the labels of a
    group disagree, only trusted ones stay. Costs no training; honest repetitions are lost too, which a table of few
    columns is full of.

    Takes the edge off poison that works by weight, such as the replicas of Truth Serum, and off what is memorised
    because it is repeated. What is left out can itself be told by who knows of this filter: of replicas with a wrong
    label one stays, unless the record itself was collected as well.

    Lee, Ippolito, Nystrom, Zhang, Eck, Callison-Burch, Carlini 2022, "Deduplicating Training Data Makes Language Models
    Better", arXiv 2107.06499, for text; Kandpal, Wallace, Raffel 2022, "Deduplicating Training Data Mitigates Privacy
    Risks in Language Models", arXiv 2202.06539, for privacy. The distance and the rule for labels are ours.

    Attributes:
        reach: of near-identity, in units of the median distance of trusted records to their nearest neighbour,
            in [0, 1). 0 for exact repetitions.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Near-duplicate removal",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Kandpal, Wallace, Raffel 2022, Deduplicating Training Data Mitigates Privacy Risks in Language Models, "
        "arXiv 2202.06539",
        atlas=("AML.M0007",),
    )

    reach: float = Field(default=0.25, ge=0, lt=1)

    def keep(
        self,
        data: Dataset,
        trusted: npt.NDArray[np.bool_],
        training: Training,  # noqa: ARG002
        streams: Streams,
    ) -> npt.NDArray[np.bool_]:
        from threatloop.algorithms.nearest import groups, nearest_distances
        from threatloop.algorithms.record_features import channel_scale, vectors
        from threatloop.algorithms.sanitising import anchors, suspects

        rows = vectors(data) / channel_scale(data)
        rows -= rows.mean(axis=0)
        known, suspect = anchors(trusted), np.flatnonzero(suspects(trusted))
        judged = np.flatnonzero(known if known.any() else ~known)
        sample = streams.numpy("sample").choice(judged, min(SAMPLE, len(judged)), replace=False)
        usual = float(np.median(nearest_distances(rows, sample))) if len(data) > 1 else 0.0
        return _kept(groups(rows, suspect, self.reach * usual), data.y, known)


def _kept(group: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> Mask:
    """Trusted records, and the first of every group that has none and agrees about its label."""
    low, high = np.full(len(group), labels.max()), np.zeros(len(group), np.int64)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    has_trusted = np.bincount(group, known, minlength=len(group)) > 0
    first = np.zeros(len(group), np.bool_)
    first[np.unique(group, return_index=True)[1]] = True
    return np.asarray(known | (first & ~has_trusted[group] & (low == high)[group]))
