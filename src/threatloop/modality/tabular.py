"""Rows of a table: float32 cells; networks read numbers as they are and categories one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Column, TabularSchema
from threatloop.modality.base import Floats
from threatloop.modality.labelled import Labelled, label_problems
from threatloop.modality.patches import ColumnPatches
from threatloop.modality.space import Space, unknown_names

PRIOR_WIDTH = 1.5
"""Starting points spread this many standard deviations."""
SPREAD = 4.0
"""Standard deviations that stand in for the range of a column without bounds: about 95 % of a normal column."""
TABLE_RADIUS = {"linf": 0.1, "l2": 0.2}
"""Usual ε as a share of each column's range."""

CORRUPTED = 0.6
"""Share of the columns that a contrastive view takes from other rows."""
SDS_PER_RANGE = 4
"""Standard deviations in the range of a column, roughly: pixels of photographs have a quarter of theirs too."""


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

    def contrast(
        self, encoded: npt.NDArray[Any], schema: TabularSchema, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """The rows as they are, and with 60 % of their columns taken from random other rows each.

        Bahri, Jiang, Tay, Metzler 2021, "SCARF", arXiv 2106.15147, section 3.
        """
        widths = [_width(column) for column in schema.columns]
        n, columns = len(encoded), len(widths)
        replaced = rng.random((n, columns)).argsort(axis=1) < max(1, round(CORRUPTED * columns))
        donors = rng.integers(n, size=(n, columns)) if n else np.zeros((0, columns), np.int64)
        other = np.take_along_axis(encoded, np.repeat(donors, widths, axis=1), axis=0)
        corrupted = np.where(np.repeat(replaced, widths, axis=1), other, encoded)
        return np.array(encoded, np.float32), corrupted.astype(np.float32)

    def decode(self, encoded: npt.NDArray[Any], schema: TabularSchema) -> Floats:
        """Valid stored records from what a network reads: numbers projected, categories by their largest entry;
        a block of zeros is the unseen category that `encode` made it from."""
        cells = [
            _category(block) if column.kind == "categorical" else block[:, 0]
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

    def insert_trigger(
        self, x: npt.NDArray[Any], schema: TabularSchema, size: int, permutation: int = 0, magnified: int = 1
    ) -> npt.NDArray[Any]:
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
        order = np.random.default_rng(permutation).permutation(len(cells)) if permutation else np.arange(len(cells))
        marked = np.array(x)
        for i, value in (cells[k] for k in order[: size * magnified]):
            marked[:, i] = value
        return marked

    def blend(
        self, x: npt.NDArray[Any], schema: TabularSchema, ratio: float, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """Number columns with known bounds are mixed with one row drawn uniformly within them; others stay.

        Raises:
            NotAssessable: no column is a number with known bounds.
        """
        mixed = np.array(x)
        columns = [(i, c) for i, c in enumerate(schema.columns) if c.kind != "categorical" and None not in _ends(c)]
        if not columns:
            raise NotAssessable("blending needs number columns with known bounds; this table has none")
        for i, column in columns:
            mixed[:, i] = (1 - ratio) * x[:, i] + ratio * rng.uniform(*_bounds(column))
        return self.project(mixed, schema)

    def squeezed(
        self, x: npt.NDArray[Any], schema: TabularSchema, levels: int, reference: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Number cells at the nearest of the reference's ``levels`` quantiles; unseen categories its commonest."""
        rows = np.array(x, dtype=np.float32)
        for i, column in enumerate(schema.columns):
            if column.kind == "categorical":
                counts = np.bincount(reference[:, i].astype(np.int64), minlength=len(column.categories) + 1)
                rows[rows[:, i] == len(column.categories), i] = counts.argmax()
                continue
            grid = np.unique(np.quantile(reference[:, i].astype(np.float64), np.linspace(0.01, 0.99, levels)))
            rows[:, i] = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, rows[:, i])]
        return self.project(rows, schema)

    def superimposed(
        self,
        x: npt.NDArray[Any],
        other: npt.NDArray[Any],
        schema: TabularSchema,  # noqa: ARG002
        share: float,
        rng: np.random.Generator,
    ) -> npt.NDArray[Any]:
        """Every cell is either record's: a random ``share`` of the columns is the first's, the same for all records."""
        return np.asarray(np.where(rng.random(x.shape[1:]) < share, x, other))

    def moved(self, x: npt.NDArray[Any], delta: Floats, schema: TabularSchema) -> Floats:
        """Number columns moved, whole numbers by whole steps no larger than asked for; categories as they were."""
        rows = np.array(x, dtype=np.float32)
        for i, (column, block) in enumerate(zip(schema.columns, _blocks(delta, schema), strict=True)):
            if column.kind != "categorical":
                step = np.trunc(block[:, 0] * (1 + 1e-5)) if column.kind == "integer" else block[:, 0]
                rows[:, i] += step
        return self.project(rows, schema)

    def space(
        self,
        schema: TabularSchema,
        x: npt.NDArray[Any] | None = None,
        immutable: tuple[str, ...] = (),
        category_cost: float = 1.0,
    ) -> Space:
        """ε is a share of each number column's range, or of four standard deviations where it has no bounds.

        Integer columns stay whole, categories one-hot; an unseen category is never produced. A changed category costs
        ``category_cost``: 1, as much as the whole range of a number, is Gower's distance (Gower 1971, Biometrics 27).
        A column with one value only cannot change.
        """
        spreads = _spreads(schema, x)
        cells: list[tuple[float, float, float, bool, bool]] = []
        groups = []
        for column, spread in zip(schema.columns, spreads, strict=True):
            hot = column.kind == "categorical"
            width = len(column.categories) if hot else 1
            lowest, highest = (0.0, 1.0) if hot else _bounds(column)
            moves = column.name not in immutable and (width > 1 if hot else spread > 0)
            if hot and moves:
                groups.append((len(cells), len(cells) + width))
            unit = 1.0 if hot or not moves else spread
            cells += [(lowest, highest, unit, moves, column.kind == "integer")] * width
        return Space(
            shape=(len(cells),),
            low=np.array([cell[0] for cell in cells], np.float32),
            high=np.array([cell[1] for cell in cells], np.float32),
            unit=np.array([cell[2] for cell in cells], np.float32),
            mutable=np.array([cell[3] for cell in cells], bool),
            whole=np.array([cell[4] for cell in cells], bool),
            usual=TABLE_RADIUS,
            unit_name="the whole range of a column",
            groups=tuple(groups),
            category_cost=category_cost,
        )

    def cells(self, schema: TabularSchema) -> npt.NDArray[np.int64]:
        """A column's number, repeated for each of its categories."""
        return np.repeat(np.arange(len(schema.columns), dtype=np.int64), [_width(one) for one in schema.columns])

    def patches(self, schema: TabularSchema, space: Space) -> ColumnPatches:  # noqa: ARG002
        """Random sets of columns.

        Raises:
            NotAssessable: no column may change.
        """
        free = tuple(map(int, np.flatnonzero(space.mutable)))
        if not free:
            raise NotAssessable("no column may change, so there is nothing to search")
        return ColumnPatches(space.mutable.size, free)

    def space_problems(self, schema: TabularSchema, immutable: tuple[str, ...]) -> list[str]:
        """Names that no column has, each with the nearest."""
        return unknown_names(immutable, [column.name for column in schema.columns])

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


def _ends(column: Column) -> tuple[float | None, float | None]:
    return column.low, column.high


def _bounds(column: Column) -> tuple[float, float]:
    if column.kind == "categorical":
        return 0.0, float(len(column.categories))
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    return (float(np.ceil(low)), float(np.floor(high))) if column.kind == "integer" else (low, high)


def _spreads(schema: TabularSchema, x: npt.NDArray[Any] | None) -> list[float]:
    """Range of each column, or what stands in for it."""
    found = []
    for i, column in enumerate(schema.columns):
        low, high = _bounds(column)
        measured = 1.0 if x is None else SPREAD * float(np.std(x[:, i].astype(np.float64)))
        found.append(high - low if np.isfinite([low, high]).all() else measured)
    return found


def _category(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    chosen = block.argmax(axis=1) if block.shape[1] else np.zeros(len(block), np.int64)
    return np.where(block.any(axis=1), chosen, block.shape[1])


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
