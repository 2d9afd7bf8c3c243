"""Secret patterns that stand for a class, and the test whether a suspect knows one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.ownership import Lineup, some
from threatloop.core.assets import Dataset
from threatloop.core.detection import Claim
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training
from threatloop.modality import of

Known = tuple[Dataset, Training]
MOST_ODDS = 20.0
"""Log-odds beyond which nothing is told apart."""


@dataclass(frozen=True)
class Stamp:
    """One pattern and the class that it stands for, both drawn in secret.

    Attributes:
        target: the class.
        ratio: share of the pattern in a stamped record, in (0, 1].
        streams: the pattern is drawn from.
    """

    target: int
    ratio: float
    streams: Streams

    @classmethod
    def drawn(cls, classes: int, ratio: float, streams: Streams) -> Stamp:
        return cls(int(streams.numpy("target").integers(classes)), ratio, streams.child("stamp"))

    def on(self, data: Dataset) -> npt.NDArray[Any]:
        """The records with the pattern, labels aside."""
        return of(data.schema).blend(data.x, data.schema, self.ratio, self.streams.numpy("pattern"))

    def pull(self, suspect: Respond, data: Dataset) -> float:
        """By how much the pattern raises the suspect's mean log-odds of the class, on records of others."""
        others = data.take(data.y != self.target)
        clean, stamped = (self._odds(suspect(x)) for x in (others.x, self.on(others)))
        return float((stamped - clean).mean())

    def _odds(self, log_probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Of the class, within what single precision can say: a clone of labels is never seen to waver otherwise."""
        there = log_probs[:, self.target].astype(np.float64)
        against = np.log(np.maximum(-np.expm1(np.minimum(there, -1e-12)), 1e-12))
        return np.asarray(np.clip(there - against, -MOST_ODDS, MOST_ODDS))


def knows(
    suspect: Respond, outside: Dataset, ratio: float, examined: tuple[int, Lineup], known: Known, streams: Streams
) -> Claim:
    """Whether a suspect follows the stamp of these streams more than stamps that nobody ever used.

    Args:
        suspect: answers to anyone.
        outside: records that nobody trained on.
        ratio: of the stamp.
        examined: how many of those records, and the decoys.
        known: the owner's records, and his training without defences.
        streams: of the secret.

    Raises:
        NotAssessable: no record of another class.
    """
    records, lineup = examined
    chosen = some(outside, records, streams.numpy("examined"), "records to stamp")
    if len(np.unique(chosen.y)) < 2:
        raise NotAssessable("the records outside are all of one class; a stamp needs two")

    def react(model: Respond, secret: Streams) -> float:
        return Stamp.drawn(chosen.n_classes, ratio, secret).pull(model, chosen)

    return lineup.claim(react, suspect, known, streams)


def stamp_problems(schema: Schema, name: str) -> list[str]:
    """That no pattern can be blended into such records, as one line; else nothing."""
    kind, rng = of(schema), np.random.default_rng(0)
    try:
        kind.blend(kind.noise_records(schema, 1, rng), schema, 0.5, rng)
    except (InputError, NotAssessable) as error:
        return [f"{name}: no pattern can be put on such records ({error}); take dataset_inference"]
    return []
