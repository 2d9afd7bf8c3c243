"""Which records a poisoner touches: shared by attacks on training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.errors import InputError

SIDES_PER_TRIGGER = 7
"""The trigger is a seventh of a side: 4 pixels at 28, 32 at 224."""
SMALLEST = 2
"""One pixel, or one column, is too easily a natural value."""


def trigger_size(data: Dataset) -> int:
    """A fitting side of a trigger in pixels, or its number of columns."""
    shorter = int(min(data.x.shape[1:][-2:]))
    return min(shorter, max(SMALLEST, round(shorter / SIDES_PER_TRIGGER)))


def known_class(label: int, data: Dataset, name: str) -> None:
    """Check that a label is one of the data's classes.

    Raises:
        InputError: it is not.
    """
    for problem in class_problems(label, data.n_classes, name):
        raise InputError(problem)


def class_problems(label: int, classes: int, name: str) -> list[str]:
    """A label that is none of this many classes, as one line; else nothing."""
    return [] if 0 <= label < classes else [f"{name} {label}: the data has classes 0 to {classes - 1}"]


def rate_problems(rate: float, n: int) -> list[str]:
    """A rate that rounds to none of n records, as one line; else nothing."""
    if n == 0:
        return ["no records"]
    return [] if round(rate * n) else [f"rate {rate:g} of {n} records rounds to none; use at least {1 / n:.2g}"]


def chosen(
    candidates: npt.NDArray[Any], rate: float, n: int, rng: np.random.Generator, what: str
) -> npt.NDArray[np.int64]:
    """``round(rate * n)`` of the candidate rows, without replacement, ascending.

    Args:
        candidates: rows that may be touched.
        rate: share of all ``n`` records, in (0, 1].
        n: records in the contribution.
        rng: the stream of the choice.
        what: names the candidates in the message.

    Raises:
        InputError: the rate rounds to no record, or to more than there are candidates.
    """
    for problem in rate_problems(rate, n):
        raise InputError(problem)
    wanted = round(rate * n)
    if wanted > len(candidates):
        raise InputError(
            f"rate {rate:g} of {n} records asks for {wanted}, but there are {len(candidates)} {what}; "
            f"use at most {len(candidates) / n:.3g}"
        )
    return np.sort(rng.choice(candidates, size=wanted, replace=False))


def mislabelled(records: Dataset, replicas: int, rng: np.random.Generator) -> Dataset:
    """``replicas`` copies of every record, all copies of one with the same wrong label; ids −1.

    Raises:
        InputError: fewer than two classes.
    """
    known_class(1, records, "a second class, number")
    wrong = (records.y + rng.integers(1, records.n_classes, size=len(records))) % records.n_classes
    rows = np.repeat(np.arange(len(records)), replicas)
    return Dataset(records.x[rows], wrong[rows].astype(np.int64), records.schema, np.full(len(rows), -1, np.int64))


def appended(contribution: Dataset, crafted: Dataset) -> Dataset:
    """The contribution with what the attacker made behind it."""
    return concatenate([contribution, crafted]) if len(crafted) else contribution


def changed(data: Dataset, rows: npt.NDArray[np.int64], x: npt.NDArray[Any], label: int | None = None) -> Dataset:
    """The data with other content in these rows and, where given, one label for all of them; order and ids stay."""
    whole, y = np.array(data.x), np.array(data.y)
    whole[rows] = x
    if label is not None:
        y[rows] = label
    return data.with_x(whole).with_y(y)
