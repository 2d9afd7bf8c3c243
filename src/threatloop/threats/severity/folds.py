"""Folds in which neither a vulnerability nor a dependency is on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 10
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Row numbers to learn from and to predict."""

    train: Rows
    test: Rows


def grouped(groups: Rows, rng: np.random.Generator, folds: int = FOLDS) -> Iterator[Fold]:
    """Whole groups go to one fold each: the largest first, to the fold that holds least; equals in random order.

    There are as many folds as groups where groups are fewer; every row is in one test side.

    Args:
        groups: shape (n,), a number of its group for each row.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count = min(folds, len(names))
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load = np.zeros(count, dtype=np.int64)
    place = np.zeros(len(names), dtype=np.int64)
    for group in order:
        place[group] = int(np.argmin(load))
        load[place[group]] += sizes[group]
    of_row = place[inverse]
    for number in range(count):
        yield Fold(np.flatnonzero(of_row != number), np.flatnonzero(of_row == number))


def largest_share(groups: Rows) -> float:
    """Share of the rows that the largest group holds, in (0, 1]; 0 without rows."""
    return float(np.bincount(groups).max() / len(groups)) if len(groups) else 0.0
