"""Checks that every statistic shares: one-dimensional, finite, aligned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from threatloop.core.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def finite_vector(values: ArrayLike, name: str) -> Floats:
    """`values` as a float64 vector.

    Raises:
        InputError: not one-dimensional, or holds NaN or infinity.
    """
    array: Floats = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"{name}: expected one dimension, got shape {array.shape}; pass one value per seed")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{name}: entry {bad} is {array[bad]}; leave undefined seeds out instead")
    return array


def fraction(value: float, name: str) -> float:
    """`value` if it lies strictly between 0 and 1.

    Raises:
        InputError: otherwise.
    """
    if not 0.0 < value < 1.0:
        raise InputError(f"{name}: {value} is not allowed; choose a value strictly between 0 and 1")
    return float(value)


def scores_and_labels(scores: ArrayLike, member: ArrayLike) -> tuple[Floats, Bools]:
    """Scores and membership as aligned vectors; infinite scores are allowed since they can be ranked.

    Raises:
        InputError: shapes differ, a score is NaN, or `member` holds something else than 0 and 1.
    """
    values: Floats = np.asarray(scores, dtype=np.float64)
    labels: NDArray[Any] = np.asarray(member)
    if values.ndim != 1 or values.shape != labels.shape:
        raise InputError(f"scores {values.shape} and member {labels.shape}: expected two vectors of one length")
    if np.isnan(values).any():
        raise InputError(f"scores: {int(np.isnan(values).sum())} are NaN; every record needs a score that ranks")
    if not np.isin(labels, (0, 1)).all():
        raise InputError("member: expected booleans or 0 and 1 only")
    return values, labels.astype(np.bool_)


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs; shape (n,). As ``scipy.stats.rankdata``, without its import."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks
