"""What an attacker believes about a class's records before he asks the model: a Gaussian from his own labelled data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.record_features import channel_scale, vectors
from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError

Floats = npt.NDArray[np.float32]

SHRINKAGE = 0.1
"""Weight of the average variance in every direction's: estimated covariances of few records are too narrow."""
MOST_DIRECTIONS = 256
MOST_RECORDS = 2048
"""Records that the covariance is estimated from; bounds the cost on large images."""


@dataclass(frozen=True, eq=False)
class ClassPrior:
    """Gaussians with one mean per class and a shared covariance, over encoded records as vectors of length d.

    Attributes:
        means: (classes, d); the overall mean where the attacker holds no record of a class.
        basis: (r, d) orthogonal directions, each as long as one standard deviation; r ≤ `MOST_DIRECTIONS`.
        low, high: (d,) the range that the attacker has seen.
        spread: (d,) standard deviation over all classes.
    """

    means: Floats
    basis: Floats
    low: Floats
    high: Floats
    spread: Floats

    def coordinates(self, x: Floats, labels: npt.NDArray[np.int64]) -> Floats:
        """Whitened coordinates (n, r) of encoded vectors (n, d): Mahalanobis length in units of standard deviations.

        Directions are orthogonal in the scaled space that they were estimated in, so least squares recovers them.
        """
        return np.asarray((x - self.means[labels]) @ self._inverse.T, dtype=np.float32)

    @property
    def _inverse(self) -> Floats:
        return np.asarray(np.linalg.pinv(self.basis.T.astype(np.float64)), dtype=np.float32)


def class_means(data: Dataset) -> Floats:
    """Mean encoded record of each class, float32 (classes, d); the overall mean where a class has no record."""
    rows = vectors(data)
    held = [data.y == label for label in range(data.n_classes)]
    return np.stack([rows[mask].mean(axis=0) if mask.any() else rows.mean(axis=0) for mask in held])


def estimate(data: Dataset) -> ClassPrior:
    """The prior from the attacker's own labelled records.

    Raises:
        InputError: fewer than two records.
    """
    if len(data) < 2:
        raise InputError(f"a prior needs at least 2 labelled records; the attacker holds {len(data)}")
    data = data.take(slice(None, None, -(-len(data) // MOST_RECORDS)))
    rows, means, scale = vectors(data), class_means(data), channel_scale(data)
    within = ((rows - means[data.y]) / scale).astype(np.float64)
    if not within.any():  # one record per class says nothing about spread
        within = ((rows - rows.mean(axis=0)) / scale).astype(np.float64)
    _, singular, directions = np.linalg.svd(within, full_matrices=False)
    rank = max(1, min(MOST_DIRECTIONS, int((singular > 1e-6 * singular[0]).sum())))
    variance = singular[:rank] ** 2 / len(rows)
    variance = (1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean()
    basis = np.sqrt(variance)[:, None] * directions[:rank] * scale
    bounds = rows.min(axis=0), rows.max(axis=0)
    return ClassPrior(means, basis.astype(np.float32), *bounds, rows.std(axis=0))
