"""Which group a vector belongs to, from a few examples of each; modest far from all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMALLEST = 1e-9
SHRINKAGE = 0.5
"""Of the covariance towards one variance for all directions: a few examples know their scatter badly."""


def posterior(examples: Floats, groups: npt.NDArray[np.int64], query: Floats, n_groups: int) -> Floats:
    """The probability of each group for one vector, (groups,), under equal priors.

    Groups are Gaussian with one covariance that is not known: the predictive density of a new vector is then
    Student's t with examples − groups degrees of freedom, whose tails are heavy, so that a vector unlike all groups is
    shared out nearly evenly.

    Murphy 2012, "Machine Learning: A Probabilistic Perspective", section 4.6.3.

    Args:
        examples: (n, d) vectors; n > groups.
        groups: (n,) of each.
        query: (d,).
        n_groups: how many there are; each needs an example.
    """
    centre, spread = examples.mean(axis=0), examples.std(axis=0)
    varied = spread > SMALLEST
    if not varied.any():
        return np.full(n_groups, 1 / n_groups)
    scaled = (examples[:, varied] - centre[varied]) / spread[varied]
    freedom = len(examples) - n_groups
    _, _, axes = np.linalg.svd(scaled, full_matrices=False)
    points, at = scaled @ axes.T, (query[varied] - centre[varied]) / spread[varied] @ axes.T
    means = np.stack([points[groups == g].mean(axis=0) for g in range(n_groups)])
    inside = points - means[groups]
    scatter = inside.T @ inside / max(freedom, 1)
    even = np.trace(scatter) / len(scatter) + SMALLEST
    scatter = (1 - SHRINKAGE) * scatter + SHRINKAGE * even * np.eye(len(scatter))
    sizes = np.bincount(groups, minlength=n_groups)
    gaps = at - means
    distance = np.einsum("gi,ij,gj->g", gaps, np.linalg.inv(scatter), gaps) / (1 + 1 / sizes)
    logs = -(freedom + at.size) / 2 * np.log1p(distance / max(freedom, 1)) - at.size / 2 * np.log1p(1 / sizes)
    powers = np.exp(logs - logs.max())
    return np.asarray(powers / powers.sum())
