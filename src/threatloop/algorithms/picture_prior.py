"""How much images look like a set of images: a Gaussian of few dimensions, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MOST_DIMENSIONS = 60
MOST_IMAGES = 2000


@dataclass(frozen=True, eq=False)
class PicturePrior:
    """Probabilistic principal components (Tipping, Bishop 1999, J. R. Stat. Soc. B 61(3)).

    Attributes:
        mean: (d,).
        basis: (d, k) orthonormal.
        inside: (k,) variances along the basis.
        outside: variance of each other direction.
    """

    mean: Floats
    basis: Floats
    inside: Floats
    outside: float

    def misfit(self, rows: Floats) -> Floats:
        """Mahalanobis distances of rows (n, d), squared: (n,)."""
        centred = rows - self.mean
        along = centred @ self.basis
        rest = np.einsum("ij,ij->i", centred, centred) - np.einsum("ij,ij->i", along, along)
        return np.asarray((along**2 / self.inside).sum(axis=1) + np.maximum(rest, 0) / self.outside, np.float32)

    def expected(self, rows: Floats) -> Floats:
        """What the low-dimensional part of the prior makes of rows (n, d): their posterior mean, without noise."""
        shrink = 1 - self.outside / (self.inside + self.outside)
        return np.asarray(self.mean + ((rows - self.mean) @ self.basis * shrink) @ self.basis.T, np.float32)


def fit_prior(images: Floats) -> PicturePrior:
    """From images (n, ...), n ≥ 1; never more than half as many dimensions as images."""
    rows = images[:MOST_IMAGES].reshape(min(len(images), MOST_IMAGES), -1).astype(np.float32)
    mean = rows.mean(axis=0)
    centred = rows - mean
    total = float((centred**2).sum()) / len(rows)
    k = min(MOST_DIMENSIONS, len(rows) // 2, rows.shape[1] - 1)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    kept = values > 1e-6 * max(total, 1e-12)
    basis = (centred.T @ vectors[:, kept]) / np.sqrt(values[kept])
    inside = values[kept] / len(rows)
    floor = 1e-3 * max(total, 1e-6) / rows.shape[1] + 1e-6
    outside = max((total - float(inside.sum())) / max(rows.shape[1] - len(inside), 1), floor)
    return PicturePrior(mean, basis.astype(np.float32), np.maximum(inside, outside).astype(np.float32), outside)
