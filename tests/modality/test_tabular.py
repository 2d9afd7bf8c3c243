"""Tables: encoding, trigger and problems."""

from __future__ import annotations

import numpy as np
import pytest

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import Column, TabularSchema
from threatloop.modality.tabular import Tabular

SCHEMA = TabularSchema(
    classes=("no", "yes"),
    columns=(
        Column(name="town", kind="categorical", categories=("x", "y", "z")),
        Column(name="size", low=-1.5, high=2.0),
        Column(name="rooms", kind="integer", low=1, high=9),
        Column(name="free"),
    ),
)
TABLE = Tabular()


def rows(*cells: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(cells, dtype=np.float32)


def table(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Dataset:
    return Dataset(x, np.zeros(len(x), dtype=np.int64), SCHEMA, np.arange(len(x)))


def test_categories_become_one_hot_and_unseen_ones_zeros() -> None:
    encoded = TABLE.encode(rows([1, 0.5, 3, -7], [3, 1, 4, 2]), SCHEMA)
    np.testing.assert_array_equal(encoded, rows([0, 1, 0, 0.5, 3, -7], [0, 0, 0, 1, 4, 2]))


def test_projection_clips_rounds_and_leaves_the_unbounded_alone() -> None:
    projected = TABLE.project(rows([7, 3, 4.4, 1e6], [-2, -9, 0.2, -3]), SCHEMA)
    np.testing.assert_array_equal(projected, rows([3, 2, 4, 1e6], [0, -1.5, 1, -3]))


def test_trigger_takes_bounded_numbers_first_at_opposite_extremes_then_the_rarest_category() -> None:
    clean = rows([0, 0, 5, 1], [1, 1, 6, 2])
    np.testing.assert_array_equal(TABLE.insert_trigger(clean, SCHEMA, 2), rows([0, 2, 1, 1], [1, 2, 1, 2]))
    marked = TABLE.insert_trigger(clean, SCHEMA, 3)
    np.testing.assert_array_equal(marked, rows([2, 2, 1, 1], [2, 2, 1, 2]))
    assert TABLE.problems(table(marked)) == []
    with pytest.raises(InputError, match="allowed are 1 to 3 columns"):
        TABLE.insert_trigger(clean, SCHEMA, 4)


def test_noise_needs_bounds() -> None:
    with pytest.raises(InputError, match="'free' has no bounds"):
        TABLE.noise_records(SCHEMA, 2, np.random.default_rng(0))


def test_bad_cells_are_counted_per_column() -> None:
    problems = TABLE.problems(table(rows([0, 0, 1, 0], [4, np.nan, 1.5, 0], [0, np.inf, 1, np.nan], [0, 3, 1, 0])))
    assert problems == [
        "column 'town': 1 cells out of range; allowed are 0 to 3 (first at record 1)",
        "column 'size': 2 NaN or infinite cells; allowed are finite numbers (first at record 1)",
        "column 'size': 1 cells out of range; allowed are -1.5 to 2 (first at record 3)",
        "column 'rooms': 1 cells that are not whole numbers (first at record 1)",
        "column 'free': 1 NaN or infinite cells; allowed are finite numbers (first at record 2)",
    ]
