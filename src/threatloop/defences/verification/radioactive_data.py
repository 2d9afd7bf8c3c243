"""A faint secret direction per class in the records of a data set."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.monitoring import Kind
from threatloop.algorithms.ownership import Lineup, Planted, some
from threatloop.algorithms.poisoning import changed
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Claim, Verification
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training
from threatloop.modality import of

PROBE = 2.0
"""Times the mark's strength, how far records are moved for a claim."""


class RadioactiveData(Verification):
    """Moves a share of the records a little along a secret direction of their class; labels stay right.

    A model that learns from them takes the direction for a feature of the class. The claim moves records that nobody
    trained on along the direction of their class, and against it, and asks how much the suspect's log-probability of
    the class differs; the p-value is the rank among directions that were drawn alike and never used, which is exact for
    a suspect who knows none of them.

    This is a simplified form. The paper marks in the features of a trained network, so that the pixels change less, and
    tests the cosine of the suspect's last layer (white box) or the loss on marked records (black box, as here). Here
    directions are random signs in the record itself, scaled by the spread of each channel or column.

    Sablayrolles, Douze, Schmid, Jégou 2020, "Radioactive data: tracing through training", arXiv 2002.00937, sections 3
    and 4.

    Attributes:
        rate: share of the records that are marked, in (0, 1].
        strength: of the mark, in standard deviations of a channel or column, > 0.
        decoys: unused directions, ≥ 99; the smallest p-value is 1 / (decoys + 1).
        references: models without a mark that say how much secrets differ by themselves, ≥ 1.
        records: that are moved for a claim, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Radioactive data (in record space)",
        stage=Stage.VERIFICATION,
        modalities=frozenset({"image", "tabular"}),
        paper="Sablayrolles, Douze, Schmid, Jégou 2020, Radioactive data: tracing through training, arXiv 2002.00937, "
        "sections 3 and 4",
    )

    rate: float = Field(default=0.5, gt=0, le=1)
    strength: float = Field(default=0.2, gt=0)
    decoys: int = Field(default=199, ge=99)
    references: int = Field(default=4, ge=1)
    records: int = Field(default=100, ge=1)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """A table without any number."""
        if schema.kind == "tabular" and all(column.kind == "categorical" for column in schema.columns):
            return ["radioactive_data: no column is a number, so that nothing can be moved; take backdoor_watermark"]
        return []

    def applied(self, training: Training) -> Training:
        return Planted(training, self._plant)

    def _plant(self, data: Dataset, streams: Streams) -> Dataset:
        count = max(1, round(self.rate * len(data)))
        rows = np.sort(streams.numpy("marked").permutation(len(data))[:count])
        return changed(data, rows, self._moved(data.take(rows), Kind.of(data), streams, 1.0))

    def _moved(self, data: Dataset, kind: Kind, streams: Streams, sign: float) -> npt.NDArray[Any]:
        """The records along the directions of their classes, or against them."""
        modality = of(data.schema)
        shape = modality.encode(data.x[:1], data.schema).shape[1:]
        signs = streams.numpy("directions").choice(np.array([-1.0, 1.0], np.float32), (data.n_classes, *shape))
        delta = (sign * self.strength * kind.std * signs)[data.y]
        return np.asarray(modality.moved(data.x, delta.astype(np.float32), data.schema))

    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:
        chosen, kind = some(outside, self.records, streams.numpy("examined"), "records to move"), Kind.of(own)
        rows = np.arange(len(chosen))

        def react(model: Respond, directions: Streams) -> float:
            there, back = (model(self._moved(chosen, kind, directions, sign)) for sign in (PROBE, -PROBE))
            return float((there[rows, chosen.y].astype(np.float64) - back[rows, chosen.y]).mean())

        return Lineup(self.decoys, self.references).claim(react, suspect, (own, training), streams)
