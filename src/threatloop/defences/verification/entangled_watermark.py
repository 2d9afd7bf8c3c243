"""A watermark that the model tells by the same features as what it is for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.ownership import Lineup, Planted
from threatloop.algorithms.stamps import Stamp, knows, stamp_problems
from threatloop.core.assets import Dataset, Model, concatenate
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Claim, Verification
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training


class EntangledWatermark(Verification):
    """Teaches the model a secret pattern for a secret class, entangled with that class's own features.

    Stamped copies of records are added with the pattern's class. After training, the model is trained on for a few
    epochs, in which the soft nearest neighbour loss between stamped records and records of the class is *maximised* in
    every hidden layer. Whoever steals what the model does with the class then takes the watermark along.

    The claim is that of the backdoor data-set mark: the rank of the suspect's response among patterns that were never
    used, an exact p-value for whoever knows none.

    A simplified form: the paper places a trigger by the loss's gradient, takes one source class, alternates the two
    losses from the first step on, and tunes a temperature per layer; here a pattern is blended into records of all
    classes, the entangling follows the training, and distances are in units of their mean.

    Not shown here: that entangling makes a mark survive theft better. On digits (6 victims) soft clones carried it at
    every weight, hard ones at 5 of 6 with next to none and 2 of 6 with a weight of 2, and more weight cost accuracy.

    Jia, Choquette-Choo, Chandrasekaran, Papernot 2021, "Entangled Watermarks as a Defense against Model Extraction",
    arXiv 2002.12200, sections 4 and 5.

    Attributes:
        rate: stamped copies, as a share of the records, in (0, 1].
        ratio: share of the pattern in a stamped record, in (0, 1].
        weight: of the entangling beside the cross-entropy, > 0.
        epochs: of the entangling, ≥ 1.
        decoys: unused stamps, ≥ 99; the smallest p-value is 1 / (decoys + 1).
        references: models without a mark that say how much secrets differ by themselves, ≥ 1.
        records: that are stamped for a claim, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Entangled watermark (simplified)",
        stage=Stage.VERIFICATION,
        modalities=frozenset({"image", "tabular"}),
        paper="Jia, Choquette-Choo, Chandrasekaran, Papernot 2021, Entangled Watermarks as a Defense against Model "
        "Extraction, arXiv 2002.12200, sections 4 and 5",
    )

    rate: float = Field(default=0.1, gt=0, le=1)
    ratio: float = Field(default=0.3, gt=0, le=1)
    weight: float = Field(default=0.5, gt=0)
    epochs: int = Field(default=10, ge=1)
    decoys: int = Field(default=199, ge=99)
    references: int = Field(default=4, ge=1)
    records: int = Field(default=50, ge=1)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """Records that no pattern can be blended into."""
        return stamp_problems(schema, "entangled_watermark")

    def applied(self, training: Training) -> Training:
        return Planted(training, self._plant, self._entangle)

    def _stamp(self, data: Dataset, streams: Streams) -> Stamp:
        return Stamp.drawn(data.n_classes, self.ratio, streams)

    def _plant(self, data: Dataset, streams: Streams) -> Dataset:
        stamp, rng = self._stamp(data, streams), streams.numpy("marked")
        others = np.flatnonzero(data.y != stamp.target)
        if not len(others):
            raise NotAssessable("all records are of the class that the watermark stands for")
        count = max(1, round(self.rate * len(data)))
        chosen = data.take(rng.choice(others, count, replace=count > len(others)))
        y = np.full(len(chosen), stamp.target, np.int64)
        return concatenate([data, Dataset(stamp.on(chosen), y, data.schema, np.full(len(chosen), -1, np.int64))])

    def _entangle(self, model: Model, marked: Dataset, added: int, training: Training, streams: Streams) -> Model:
        from threatloop.algorithms.entangled import Entanglement

        return Entanglement(self.weight, self.epochs).finish(model, marked, added, training, streams)

    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:
        lineup = Lineup(self.decoys, self.references)
        return knows(suspect, outside, self.ratio, (self.records, lineup), (own, training), streams)
