"""What an attacker believes about a class's records before he asks the model: a Gaussian from his own labelled data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.record_features import channel_scale, parts, vectors
from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError

Floats = npt.NDArray[np.float32]

SHRINKAGE = 0.1
"""Weight of the average variance in every direction's: estimated covariances of few records are too narrow."""
MOST_DIRECTIONS = 256
MOST_RECORDS, MOST_CELLS = 2048, 1 << 26
"""Records that the covariance is estimated from, and array cells in them: bounds cost and memory on large images."""


@dataclass(frozen=True, eq=False)
class ClassPrior:
    """Gaussians with one mean per class and a shared covariance, over encoded records as vectors of length d.

    Attributes:
        means: (classes, d); the overall mean where the attacker holds no record of a class.
        basis: (r, d) directions, each one standard deviation long, orthogonal where every channel or column is
            divided by its spread; r ≤ `MOST_DIRECTIONS`.
        whitening: (r, d); its rows take a record, less its class mean, to its coordinates along the basis.
        low, high: (d,) the range that the attacker has seen.
        spread: (d,) standard deviation over all classes.
    """

    means: Floats
    basis: Floats
    whitening: Floats
    low: Floats
    high: Floats
    spread: Floats

    def coordinates(self, x: Floats, labels: npt.NDArray[np.int64]) -> Floats:
        """Coordinates (n, r), in standard deviations, of encoded vectors (n, d) around the means of their classes."""
        return np.asarray((x - self.means[labels]) @ self.whitening.T, dtype=np.float32)


def class_means(data: Dataset) -> Floats:
    """Mean encoded record of each class, float32 (classes, d); the overall mean where a class has no record.

    Raises:
        InputError: no record at all.
    """
    if len(data) == 0:
        raise InputError("class means need at least one labelled record")
    sums = np.stack([_sums(part) for part in parts(data)]).sum(axis=0)
    counts = np.bincount(data.y, minlength=data.n_classes)[:, None]
    overall = sums.sum(axis=0) / len(data)
    means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), overall).astype(np.float32)
    return means


def _sums(data: Dataset) -> npt.NDArray[np.float64]:
    belongs = (data.y == np.arange(data.n_classes)[:, None]).astype(np.float64)
    return np.asarray(belongs @ vectors(data))


def estimate(data: Dataset) -> ClassPrior:
    """The prior from the attacker's own labelled records.

    Raises:
        InputError: fewer than two records.
    """
    if len(data) < 2:
        raise InputError(f"a prior needs at least 2 labelled records; the attacker holds {len(data)}")
    means = class_means(data)
    most = max(2, min(MOST_RECORDS, MOST_CELLS // means.shape[1]))
    some = data.take(slice(None, None, -(-len(data) // most)))
    return _around(vectors(some), some.y, means, channel_scale(some))


def estimate_codes(codes: Floats, labels: npt.NDArray[np.int64], classes: int) -> ClassPrior:
    """The same of any vectors (n, d) with labels (n,), such as the codes of records; n ≥ 2."""
    sums = np.zeros((classes, codes.shape[1]))
    np.add.at(sums, labels, codes)
    counts = np.bincount(labels, minlength=classes)[:, None]
    means = np.where(counts > 0, sums / np.maximum(counts, 1), codes.mean(axis=0)).astype(np.float32)
    return _around(codes, labels, means, np.ones(codes.shape[1], np.float32))


def _around(rows: Floats, labels: npt.NDArray[np.int64], means: Floats, scale: Floats) -> ClassPrior:
    within = (rows - means[labels]) / scale
    if not within.any():  # one record per class says nothing about the spread within classes
        within = (rows - rows.mean(axis=0)) / scale
    variance, directions = _principal(within)
    shrunken = np.sqrt((1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean())
    deviation = np.maximum(shrunken, 1e-12).astype(np.float32)[:, None]
    return ClassPrior(
        means,
        deviation * directions * scale,
        directions / scale / deviation,
        rows.min(axis=0),
        rows.max(axis=0),
        rows.std(axis=0),
    )


def _principal(rows: Floats) -> tuple[npt.NDArray[np.float64], Floats]:
    """Variances (r,), falling, along orthonormal directions (r, d): by the smaller of the two product matrices."""
    n, d = rows.shape
    wide = d > n
    product = rows @ rows.T if wide else rows.T @ rows
    squares, vectors_ = np.linalg.eigh(product.astype(np.float64))
    squares, vectors_ = squares[::-1], vectors_[:, ::-1]
    rank = max(1, min(MOST_DIRECTIONS, int((squares > 1e-6 * squares[0]).sum())))
    kept = vectors_[:, :rank].astype(np.float32)
    directions = (rows.T @ kept).T if wide else kept.T
    length = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.float32(1e-12))
    return squares[:rank] / n, np.ascontiguousarray(directions / length)
