"""Unlearning of named records: which they are, and the base of the repairs that do it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import Repair
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

NOTE = "forgotten"
"""Note of the model: how many records it was made to forget."""
ROLE = "forgotten"
Bools = npt.NDArray[np.bool_]


def to_forget(data: Dataset, trusted: Bools, share: float, records: tuple[int, ...], streams: Streams) -> Bools:
    """Which records to forget, bool (n,).

    The same whatever the order of the records and whichever defence asks, for the streams of one seed.

    Args:
        data: all that the model was trained on.
        trusted: bool (n,), the defender's own; drawn records come from these.
        share: of the own records, drawn where no records are named; at least one.
        records: ids, or none.
        streams: of the seed or below.
    """
    if records:
        return np.isin(data.ids, records)
    ids = np.unique(data.ids[trusted])
    drawn = streams.of_seed().numpy(ROLE).choice(ids, max(1, round(share * len(ids))), replace=False)
    return np.isin(data.ids, drawn) & trusted


class Unlearning(Repair):
    """A repair that makes the model forget some of the records that it was trained on.

    Attributes:
        share: of the own records, drawn at random in each seed, in (0, 1).
        records: ids of the records to forget (their numbers in the data as it was read), instead of a share.
    """

    share: float = Field(default=0.05, gt=0, lt=1)
    records: tuple[int, ...] = ()

    def repair(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Model:
        return self.repair_all(model, own, np.ones(len(own), np.bool_), training, streams)

    def repair_all(
        self, model: Model, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> Model:
        gone = to_forget(data, trusted, self.share, self.records, streams)
        if not gone.any():
            return model
        if gone.all():
            raise NotAssessable("unlearning leaves no record to train on; name fewer records or a smaller share")
        without = self.forget(model, data.take(~gone), data.take(gone), training, streams)
        return replace(without, notes={**without.notes, NOTE: int(gone.sum())})

    @abstractmethod
    def forget(self, model: Model, kept: Dataset, gone: Dataset, training: Training, streams: Streams) -> Model:
        """The model without what it learned from ``gone``, where it was trained on both parts."""
