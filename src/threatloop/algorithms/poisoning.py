"""Which records a poisoner touches: shared by attacks on training data."""

from __future__ import annotations

from collections.abc import Sequence
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


def share_problems(rate: float, n: int, candidates: int, what: str) -> list[str]:
    """A rate of n records that rounds to none, or to more than the candidates, as one line; else nothing.

    Args:
        rate: share of all ``n`` records.
        n: records in the contribution.
        candidates: how many of them may be touched.
        what: names these in the message.
    """
    if not candidates:
        return [f"there are no {what} to poison; choose another class, or bring more records"]
    wanted = round(rate * n)
    if wanted <= candidates:
        return rate_problems(rate, n)
    return [
        f"rate {rate:g} of {n} records asks for {wanted}, but there are {candidates} {what}; "
        f"use at most {candidates / n:.3g}"
    ]


def target_problems(wanted: int, there: int) -> list[str]:
    """More targets than there are records to choose them from, as one line; else nothing."""
    return [] if wanted <= there else [f"targets {wanted}: there are {there} to choose from; use at most that many"]


def other_classes(label: int, rate: float, per_class: Sequence[int]) -> list[str]:
    """A rate that cannot be met by records of other classes than the label; one line."""
    n = sum(per_class)
    return share_problems(rate, n, n - sum(per_class[label : label + 1]), "records of other classes")


def same_class(label: int, rate: float, per_class: Sequence[int]) -> list[str]:
    """A rate of the label's own records that rounds to none; one line."""
    n = sum(per_class[label : label + 1])
    return share_problems(rate, n, n, f"records of class {label}")


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
    for problem in share_problems(rate, n, len(candidates), what):
        raise InputError(problem)
    return np.sort(rng.choice(candidates, size=round(rate * n), replace=False))


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
