"""Feature noise: records that say nothing about their label, to make the model worse."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.poisoning import changed, chosen, class_problems, rate_problems
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction
from threatloop.modality import of


class FeatureNoise(DataToModel):
    """Replaces the content of a share of the contribution; labels stay.

    Threat model: the attacker chooses the content of the records that he contributes and not their labels, or does not
    want labels to be found wrong; he knows nothing of the model. He wants it to be worse for everybody.

    ``content``: ``swapped`` gives each record the features of a random record of another class, which misleads as much
    as a wrong label; ``noise`` gives it features that look like none of the data, which only wastes capacity.

    Returns the contribution with ``round(rate * n)`` records replaced; labels, order and ids as they were.

    Swapped: the effect of Biggio, Nelson, Laskov 2012, arXiv 1206.6389, reached through features instead of labels.

    Attributes:
        rate: share of the contribution that is replaced, in (0, 1].
        content: what it is replaced by.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Feature-noise poisoning",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content only; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("accuracy_loss", "clean_accuracy"),
        paper="Biggio, Nelson, Laskov 2012, Poisoning Attacks against Support Vector Machines, arXiv 1206.6389",
        baseline="honest_contribution",
        atlas=("AML.T0020",),
        sweep="rate",
    )

    rate: float = Field(default=0.5, gt=0, le=1)
    content: Literal["swapped", "noise"] = "swapped"

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A rate that rounds to no record; nothing to swap with."""
        few = class_problems(1, len(schema.classes), "a second class, number") if self.content == "swapped" else []
        return few + rate_problems(self.rate, records)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The contribution with replaced content.

        Raises:
            InputError: the rate rounds to no record, all records are of one class (``swapped``), or a number column has
                no bounds to draw from (``noise``).
        """
        rows = chosen(np.arange(len(data)), self.rate, len(data), bench.streams.numpy("replaced"), "records")
        rng = bench.streams.numpy("content")
        if self.content == "noise":
            return changed(data, rows, _noise(data, len(rows), rng))
        return changed(data, rows, data.x[_other_class(data.y, rows, rng)])


def _noise(data: Dataset, n: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Records that look like none of the data, stored as the data is."""
    kind = of(data.schema)
    drawn = kind.noise_records(data.schema, n, rng)
    return drawn if drawn.dtype == data.x.dtype else np.asarray(kind.encode(drawn, data.schema), data.x.dtype)


def _other_class(y: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[Any]:
    """For every row a random position with another label: uniform over all such records."""
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y, minlength=int(y.max()) + 1)
    starts = np.cumsum(counts) - counts
    own = counts[y[rows]]
    if (own == len(y)).any():
        raise InputError("all records are of one class, so there are none of another to swap with; use content: noise")
    drawn = rng.integers(0, len(y) - own)
    # Positions in class order, with the row's own class cut out.
    return np.asarray(order[drawn + np.where(drawn >= starts[y[rows]], own, 0)])
