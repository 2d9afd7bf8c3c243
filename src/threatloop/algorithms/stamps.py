"""Secret patterns that stand for a class, and the test whether a suspect knows one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.ownership import rank_p, some
from threatloop.core.assets import Dataset
from threatloop.core.defence import Claim, Respond
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.modality import of


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
        return cls(int(streams.numpy("target").integers(classes)), ratio, streams)

    def on(self, data: Dataset) -> npt.NDArray[Any]:
        """The records with the pattern, labels aside."""
        return of(data.schema).blend(data.x, data.schema, self.ratio, self.streams.numpy("pattern"))

    def pull(self, suspect: Respond, data: Dataset) -> float:
        """By how much the pattern raises the suspect's mean probability of the class, on records of others."""
        others = data.take(data.y != self.target)
        clean, stamped = (np.exp(suspect(x)[:, self.target].astype(np.float64)) for x in (others.x, self.on(others)))
        return float((stamped - clean).mean())


def knows(suspect: Respond, outside: Dataset, stamp: Stamp, decoys: int, records: int, streams: Streams) -> Claim:
    """Whether a suspect follows this stamp more than stamps that nobody ever used.

    Raises:
        NotAssessable: no record of another class.
    """
    chosen = some(outside, records, streams.numpy("examined"), "records to stamp")
    if len(np.unique(chosen.y)) < 2:
        raise NotAssessable("the records outside are all of one class; a stamp needs two")
    classes = chosen.n_classes
    drawn = (Stamp.drawn(classes, stamp.ratio, streams.child(f"decoy-{i}")) for i in range(decoys))
    others = [one.pull(suspect, chosen) for one in drawn]
    true = stamp.pull(suspect, chosen)
    return Claim(rank_p(true, others), true)


def stamp_problems(schema: Schema, name: str) -> list[str]:
    """That no pattern can be blended into such records, as one line; else nothing."""
    kind, rng = of(schema), np.random.default_rng(0)
    try:
        kind.blend(kind.noise_records(schema, 1, rng), schema, 0.5, rng)
    except (InputError, NotAssessable) as error:
        return [f"{name}: no pattern can be put on such records ({error}); take dataset_inference"]
    return []
