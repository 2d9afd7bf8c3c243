"""Records that defences are tried on: digits, a table of everything, images of two kinds, an alphabet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from threatloop.core.assets import Dataset
from threatloop.core.schema import Column, ImageSchema, TabularSchema, TextSchema
from threatloop.data.embedded import Embedded
from threatloop.data.source import Raw


def embedded(name: str) -> Dataset:
    """``digits`` or ``breast_cancer``, in random order."""
    raw: Raw = Embedded.model_validate({"embedded": name})._load(Path(), None, "")
    order = np.random.default_rng(0).permutation(len(raw.y))
    return Dataset(raw.x[order], raw.y[order], raw.schema, np.arange(len(order)))


def mixed_table(n: int = 80) -> Dataset:
    """A number, a whole number and a category, two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    columns = (
        Column(name="a", low=-3.0, high=3.0),
        Column(name="b", kind="integer", low=0, high=9),
        Column(name="c", kind="categorical", categories=("x", "y", "z")),
    )
    x = np.stack([np.clip(rng.normal(2 * y - 1, 1), -3, 3), rng.integers(0, 5, n) + 4 * y, rng.integers(0, 3, n)], 1)
    schema = TabularSchema(classes=("0", "1"), columns=columns)
    return Dataset(x.astype(np.float32), y.astype(np.int64), schema, np.arange(n))


def halves(n: int = 90, side: int = 12) -> Dataset:
    """Images of noise, brighter at the top or at the bottom."""
    rng = np.random.default_rng(1)
    y = np.arange(n) % 2
    x = rng.integers(0, 120, (n, 1, side, side))
    x[y == 0, :, : side // 2] += 60
    x[y == 1, :, side // 2 :] += 60
    schema = ImageSchema(classes=("top", "bottom"), channels=1, height=side, width=side)
    return Dataset(x.astype(np.uint8), y, schema, np.arange(n))


def alphabet(n: int = 64) -> Dataset:
    """The alphabet from a random letter on."""
    x = (np.random.default_rng(2).integers(0, 9, (n, 1)) + np.arange(12)) % 9 + ord("a")
    return Dataset(x.astype(np.uint8), np.zeros(n, np.int64), TextSchema(width=12), np.arange(n))
