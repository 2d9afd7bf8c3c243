"""What filters of training data share: whom they suspect, and how they divide records."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Points = npt.NDArray[np.float64]

WIDEST = 512
"""Dimensions in which records are compared; wider ones are reduced to the directions in which they vary most."""
RIDGE = 0.01
"""Of the mean variance: directions in which a class hardly varies must not outweigh everything else."""


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


def whitened(features: npt.NDArray[np.float32], labels: Rows, trusted: Mask, streams: Streams) -> Points:
    """Each record's place in its class, in units of how classes spread by themselves, float64 (n, d).

    Around the mean of the class's trusted records and in units of their pooled covariance; of all records where none
    is trusted, or none of the class. What a class is made of is round then, and what does not belong to it stands out.
    Hayase, Kong, Somani, Oh 2021, "SPECTRE", arXiv 2104.11315, section 3, with trusted records in place of a robust
    estimate.
    """
    basis = anchors(trusted) if anchors(trusted).any() else np.ones_like(trusted)
    rows = _narrowed(features, streams)
    for label in np.unique(labels):
        mine = labels == label
        rows[mine] -= rows[mine & basis if (mine & basis).any() else mine].mean(axis=0)
    spread = rows[basis]
    sizes, axes = np.linalg.eigh(spread.T @ spread / len(spread))
    scale = np.sqrt(np.maximum(sizes, 0) + max(RIDGE * sizes.mean(), TINY))
    found: Points = rows @ (axes / scale)
    return found


TINY = 1e-12


def _narrowed(features: npt.NDArray[np.float32], streams: Streams) -> Points:
    """The features, or the directions in which they vary most."""
    if features.shape[1] <= WIDEST:
        return features.astype(np.float64)
    from sklearn.decomposition import PCA

    most = min(WIDEST, *features.shape)
    reduction = PCA(most, svd_solver="randomized", random_state=streams.integer("narrowed", 32))
    return np.asarray(reduction.fit_transform(features), np.float64)
