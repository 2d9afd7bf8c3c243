"""What filters of training data share: whom they suspect, and how they divide records."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


def suspects(trusted: Mask) -> Mask:
    """The records that a filter may remove: those of third parties.

    Where all are trusted nobody knows who brought what, as when an attacker imitates the victim: then any.
    """
    return np.ones_like(trusted) if trusted.all() else ~trusted


def anchors(trusted: Mask) -> Mask:
    """The records that a filter may rely on; none where all are suspects."""
    return ~suspects(trusted)


def classes(data: Dataset) -> Iterator[tuple[int, Rows]]:
    """Each label that occurs, and the rows that carry it."""
    for label in np.unique(data.y):
        yield int(label), np.flatnonzero(data.y == label)


def folds(labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator) -> Rows:
    """A fold in [0, count) for every record, each class spread evenly over them, int64 (n,)."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % count
    return found
