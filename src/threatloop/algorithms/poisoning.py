"""Which records a poisoner touches: shared by attacks on training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError


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
