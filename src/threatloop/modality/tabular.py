"""Rows of a table: float32 cells; networks read numbers as they are and categories one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import Column, TabularSchema
from threatloop.modality.base import Box, Floats
from threatloop.modality.labelled import Labelled, label_problems

PRIOR_WIDTH = 1.5
"""Starting points spread this many standard deviations."""


class Tabular(Labelled[TabularSchema]):
    """Tables of numeric, integer and categorical columns."""

    kind = "tabular"

    def problems(self, data: Dataset) -> list[str]:
        """Per column: NaN, infinite or out-of-range cells (how many, first row); labels out of range, no records."""
        schema, x = data.schema, data.x
        assert isinstance(schema, TabularSchema)
        if x.ndim != 2 or x.shape[1] != len(schema.columns):
            return [f"records have shape {x.shape[1:]}; the schema says ({len(schema.columns)},)"]
        found = label_problems(data)
        if x.dtype != np.float32:
            found.append(f"records are stored as {x.dtype}; need float32")
        for i, column in enumerate(schema.columns):
            found += _cell_problems(x[:, i], column)
        return found

    def encode(self, x: npt.NDArray[Any], schema: TabularSchema) -> Floats:
        """float32 (n, width): numbers as they are, categories one-hot, an unseen category all zeros."""
        if all(column.kind != "categorical" for column in schema.columns):
            return np.asarray(x, dtype=np.float32)
        blocks = [_encode_column(x[:, i], column) for i, column in enumerate(schema.columns)]
        return np.concatenate(blocks, axis=1)

    def decode(self, encoded: npt.NDArray[Any], schema: TabularSchema) -> Floats:
        """Valid stored records from what a network reads: numbers projected, categories by their largest entry."""
        cells = [
            block.argmax(axis=1) if column.kind == "categorical" else block[:, 0]
            for column, block in zip(schema.columns, _blocks(encoded, schema), strict=True)
        ]
        return self.project(np.stack(cells, axis=1), schema)

    def project(self, x: npt.NDArray[Any], schema: TabularSchema) -> Floats:
        """Clipped to each column's bounds; integer and categorical cells rounded to their grid."""
        rows = np.array(x, dtype=np.float32)
        for i, column in enumerate(schema.columns):
            low, high = _bounds(column)
            cells = rows[:, i] if column.kind == "numeric" else np.rint(rows[:, i])
            rows[:, i] = np.clip(cells, low, high)
        return rows

    def box(self, schema: TabularSchema) -> Box:
        """Numbers within their column's bounds, where it has any; the block of a category is a mixture."""
        blocks = [(c, _width(c)) for c in schema.columns]
        stops = np.cumsum([width for _, width in blocks])
        limits = [(0.0, 1.0) if c.kind == "categorical" else _bounds(c) for c, _ in blocks]
        low, high = np.repeat(np.array(limits, np.float32), [width for _, width in blocks], axis=0).T
        mixtures = tuple(
            (int(stop) - width, int(stop))
            for (column, width), stop in zip(blocks, stops, strict=True)
            if column.kind == "categorical"
        )
        return Box(np.ascontiguousarray(low), np.ascontiguousarray(high), mixtures)

    def insert_trigger(self, x: npt.NDArray[Any], schema: TabularSchema, size: int) -> npt.NDArray[Any]:
        """A copy with ``size`` columns at extreme values: each valid by itself, together a rare combination.

        Number columns with known bounds come first, in schema order, set in turn to their highest and lowest
        value (columns often rise and fall together, so opposite extremes are rarer than two maxima); then
        categorical columns, set to their last category, which is the rarest where a reader made the schema.

        Raises:
            InputError: ``size`` is below 1 or above the number of columns that can carry the trigger.
        """
        cells = _trigger_cells(schema)
        if not 1 <= size <= len(cells):
            raise InputError(
                f"trigger size {size}: allowed are 1 to {len(cells)} columns (those with known bounds or categories)"
            )
        marked = np.array(x)
        for i, value in cells[:size]:
            marked[:, i] = value
        return marked

    def start_points(self, auxiliary: Dataset, labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Encoded rows: Gaussian draws around each number column's mean, wider than it spreads, within its bounds;
        categorical blocks are random mixtures that sum to 1."""
        if len(auxiliary) == 0:
            raise InputError("starting points need at least one auxiliary record")
        schema, n = auxiliary.schema, len(labels)
        assert isinstance(schema, TabularSchema)
        blocks = []
        for i, column in enumerate(schema.columns):
            if column.kind == "categorical":
                blocks.append(rng.dirichlet(np.ones(len(column.categories)), size=n))
                continue
            known = auxiliary.x[:, i].astype(np.float64)
            draws = known.mean() + PRIOR_WIDTH * known.std() * rng.standard_normal(n)
            blocks.append(np.clip(draws, *_bounds(column))[:, None])
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def noise_records(self, schema: TabularSchema, n: int, rng: np.random.Generator) -> Floats:
        """Rows whose cells are independent and uniform within each column's bounds or over its categories.

        Raises:
            InputError: a number column has no bounds.
        """
        return np.stack([_uniform(column, n, rng) for column in schema.columns], axis=1).astype(np.float32)


def _bounds(column: Column) -> tuple[float, float]:
    if column.kind == "categorical":
        return 0.0, float(len(column.categories))
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    return (float(np.ceil(low)), float(np.floor(high))) if column.kind == "integer" else (low, high)


def _width(column: Column) -> int:
    return len(column.categories) if column.kind == "categorical" else 1


def _trigger_cells(schema: TabularSchema) -> list[tuple[int, float]]:
    columns = list(enumerate(schema.columns))
    numbers = [(i, c) for i, c in columns if c.kind != "categorical" and None not in (c.low, c.high)]
    extremes = [(i, _bounds(c)[1 - turn % 2]) for turn, (i, c) in enumerate(numbers)]
    rare = [(i, len(c.categories) - 1.0) for i, c in columns if c.kind == "categorical" and c.categories]
    return extremes + rare


def _encode_column(cells: npt.NDArray[Any], column: Column) -> Floats:
    if column.kind != "categorical":
        return cells.astype(np.float32)[:, None]
    hot: Floats = np.equal.outer(cells, np.arange(len(column.categories))).astype(np.float32)
    return hot


def _blocks(encoded: npt.NDArray[Any], schema: TabularSchema) -> list[npt.NDArray[Any]]:
    widths = [_width(column) for column in schema.columns]
    if encoded.ndim != 2 or encoded.shape[1] != sum(widths):
        raise InputError(f"encoded records have shape {encoded.shape}; the schema needs (n, {sum(widths)})")
    return np.split(encoded, np.cumsum(widths)[:-1], axis=1)


def _uniform(column: Column, n: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    if column.kind == "categorical":
        return rng.integers(len(column.categories), size=n)
    low, high = _bounds(column)
    if not np.isfinite([low, high]).all():
        raise InputError(f"column {column.name!r} has no bounds to draw from; give the schema low and high")
    return rng.integers(int(low), int(high) + 1, size=n) if column.kind == "integer" else rng.uniform(low, high, n)


def _cell_problems(cells: npt.NDArray[Any], column: Column) -> list[str]:
    low, high = _bounds(column)
    broken = ~np.isfinite(cells)
    outside = ~broken & ((cells < low) | (cells > high))
    off_grid = ~broken & ~outside & (np.rint(cells) != cells) & (column.kind != "numeric")
    named = (
        (broken, "NaN or infinite cells; allowed are finite numbers"),
        (outside, f"cells out of range; allowed are {low:g} to {high:g}"),
        (off_grid, "cells that are not whole numbers"),
    )
    return [
        f"column {column.name!r}: {int(bad.sum())} {what} (first at record {np.flatnonzero(bad)[0]})"
        for bad, what in named
        if bad.any()
    ]
