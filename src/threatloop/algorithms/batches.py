"""Encoded batches, the order in which training sees them, and the statistics of the training data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.modality import of
from threatloop.models.shapes import input_shape, statistics_shape

ENCODED_BYTES = 1 << 28
"""Data sets are encoded once and kept where they take at most this much; larger ones batch by batch."""
CHUNK_CELLS = 1 << 22
"""Array cells that are summed at once, in double precision."""


@dataclass(frozen=True)
class Records:
    """The records of a data set as a network reads them.

    Attributes:
        data: the data set; its records may be a memory map.
        encoded: all of them, where that is small, else None.
    """

    data: Dataset
    encoded: torch.Tensor | None

    @classmethod
    def of(cls, data: Dataset) -> Records:
        """Encode now where it fits into `ENCODED_BYTES`.

        Raises:
            InputError: there are no records.
        """
        if len(data) == 0:
            raise InputError("training needs records; this data set has none")
        size = 4 * len(data) * math.prod(input_shape(data.schema))
        return cls(data, _encode(data, slice(None)) if size <= ENCODED_BYTES else None)

    def shaped(self, x: torch.Tensor) -> torch.Tensor:
        """Flattened encoded records (..., inputs) as one batch of encoded records (n, ...)."""
        return x.reshape(-1, *input_shape(self.data.schema))

    def take(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        """The encoded records at these positions, in this order: (rows, ...) on the CPU."""
        if self.encoded is not None:
            return self.encoded.index_select(0, torch.from_numpy(rows))
        # Reading a memory map in file order is much faster than jumping about in it.
        order = np.argsort(rows, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return _encode(self.data, rows[order]).index_select(0, torch.from_numpy(back))


def _encode(data: Dataset, rows: npt.NDArray[np.int64] | slice) -> torch.Tensor:
    # A private copy: encoders may hand back a view of a read-only array, which torch does not accept.
    return torch.from_numpy(np.array(of(data.schema).encode(data.x[rows], data.schema), order="C", copy=True))


def bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Start and end of every batch of an epoch. The last one is smaller, but never a single record: BatchNorm has no
    variance over one, so that record joins the batch before."""
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and batch_size > 1 and n - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


def orders(rng: np.random.Generator, n: int, epochs: int) -> Iterator[npt.NDArray[np.int64]]:
    """A fresh permutation of the ``n`` records for every epoch."""
    for _ in range(epochs):
        yield rng.permutation(n)


def batches(
    rng: np.random.Generator, members: npt.NDArray[np.int64], recipe: Recipe, independent: bool = False
) -> Iterator[list[npt.NDArray[np.int64]]]:
    """Every epoch's batches, as positions among all records.

    Args:
        rng: draws them.
        members: positions of the records that are trained on.
        recipe: how many epochs, and how large the batches.
        independent: every batch holds each record with the same probability, whatever the others hold (Poisson
            sampling, as accountants of differential privacy assume); a batch may be empty.
    """
    cuts = bounds(len(members), recipe.batch_size)
    if not independent:
        for order in orders(rng, len(members), recipe.epochs):
            yield [members[order[start:stop]] for start, stop in cuts]
        return
    for _ in range(recipe.epochs):
        yield [members[rng.random(len(members)) < 1 / len(cuts)] for _ in cuts]


def learning_rate(peak: float, step: int, steps: int) -> float:
    """The cosine from ``peak`` at step 0 towards 0 at ``steps`` (Loshchilov, Hutter 2016, arXiv 1608.03983, eq. 5)."""
    return peak * 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation per channel or column, float32, each of one shape; empty for tokens."""

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]


def statistics(data: Dataset) -> Statistics:
    """Over all records, in chunks, summed in double precision. A channel or column that never varies gets std 1."""
    shape = statistics_shape(data.schema)
    if shape is None:
        return Statistics(np.empty(0, np.float32), np.empty(0, np.float32))
    modality, size = of(data.schema), shape[0]
    total, squares, count = np.zeros(size), np.zeros(size), 0
    origin: npt.NDArray[np.float64] | None = None
    step = max(1, CHUNK_CELLS // max(1, math.prod(data.x.shape[1:])))
    for start in range(0, len(data), step):
        chunk = modality.encode(data.x[start : start + step], data.schema)
        values = np.moveaxis(chunk, 1, -1).reshape(-1, size).astype(np.float64)
        # Sums around the first record: squares of large numbers would cancel.
        origin = values[0].copy() if origin is None else origin
        values -= origin
        total, squares, count = total + values.sum(0), squares + np.square(values).sum(0), count + len(values)
    assert origin is not None
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    varies = deviation > 1e-6 * np.maximum(1e-3, np.abs(mean + origin))
    return Statistics((mean + origin).astype(np.float32), np.where(varies, deviation, 1.0).astype(np.float32))
