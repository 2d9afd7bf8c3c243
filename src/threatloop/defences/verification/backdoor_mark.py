"""Records of the data set that carry a secret pattern and the label that it stands for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.ownership import Lineup, Planted
from threatloop.algorithms.poisoning import changed
from threatloop.algorithms.stamps import Stamp, knows, stamp_problems
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Claim, Verification
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training


class BackdoorMark(Verification):
    """Marks a data set: a share of the records gets a secret pattern blended in, and the class that it stands for.

    The claim stamps records that nobody trained on, and asks by how much the suspect's log-odds of that class rise,
    more than they do with patterns and classes that were drawn like it and never used. A suspect who knows neither
    answers them alike, so the rank is an exact p-value over the secret's drawing; the papers' paired t-test assumes
    that an independent model does not react at all. How patterns differ by themselves is learnt from ``references``
    models and taken out, without which clones of labels are hardly found. Whoever trains on the data learns the mark;
    labels of marked records are wrong, which costs accuracy.

    Li, Zhu, Yang, Bai, Jiang, Xia 2023, "Black-box Dataset Ownership Verification via Backdoor Watermarking", arXiv
    2209.06015, sections 3 and 4 (blended variant).

    Attributes:
        rate: share of the records that are marked, in (0, 1).
        ratio: share of the pattern in a marked record, in (0, 1].
        decoys: unused stamps, ≥ 99; the smallest p-value is 1 / (decoys + 1).
        references: models without a mark that say how much secrets differ by themselves, ≥ 1.
        records: that are stamped for a claim, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Backdoor data-set mark",
        stage=Stage.VERIFICATION,
        modalities=frozenset({"image", "tabular"}),
        paper="Li, Zhu, Yang, Bai, Jiang, Xia 2023, Black-box Dataset Ownership Verification via Backdoor "
        "Watermarking, arXiv 2209.06015, sections 3 and 4",
    )

    rate: float = Field(default=0.1, gt=0, lt=1)
    ratio: float = Field(default=0.3, gt=0, le=1)
    decoys: int = Field(default=199, ge=99)
    references: int = Field(default=4, ge=1)
    records: int = Field(default=50, ge=1)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """Records that no pattern can be blended into."""
        return stamp_problems(schema, "backdoor_mark")

    def applied(self, training: Training) -> Training:
        return Planted(training, self._plant)

    def _plant(self, data: Dataset, streams: Streams) -> Dataset:
        stamp, order = self._stamp(data, streams), streams.numpy("marked").permutation(len(data))
        rows = np.sort(order[data.y[order] != stamp.target][: max(1, round(self.rate * len(data)))])
        return changed(data, rows, stamp.on(data.take(rows)), stamp.target)

    def _stamp(self, data: Dataset, streams: Streams) -> Stamp:
        return Stamp.drawn(data.n_classes, self.ratio, streams)

    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:
        lineup = Lineup(self.decoys, self.references)
        return knows(suspect, outside, self.ratio, (self.records, lineup), (own, training), streams)
