"""Records of one class in few dimensions, and their division in two."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

RANK = 1e-5
"""Directions that vary less than this share of the widest are rounding."""
TINY = 1e-9
SAMPLE = 2_000
"""Records that a silhouette is taken from."""

Points = npt.NDArray[np.float64]


def reduced(places: Points, components: int) -> Points:
    """Rows in at most ``components`` principal components (n, k); k is 0 where nothing varies."""
    centred = places - places.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    k = min(components, int((sizes > RANK * max(sizes[0], TINY)).sum()))
    return np.asarray((left * sizes)[:, :k])


def smaller_half(points: Points, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows 2-means puts into its smaller part, bool (n,); none where all rows are alike."""
    if points.shape[1] == 0 or len(points) < 2:
        return np.zeros(len(points), np.bool_)
    part = KMeans(2, n_init=10, random_state=seed).fit_predict(points)
    return np.asarray(part == np.argmin(np.bincount(part, minlength=2)))


def silhouette(points: Points, part: npt.NDArray[np.bool_], seed: int) -> float:
    """How far two parts lie apart, −1 to 1; −1 where there is only one."""
    if not 0 < part.sum() < len(part) or len(part) < 3:
        return -1.0
    size = SAMPLE if len(part) > SAMPLE else None
    return float(silhouette_score(points, part, sample_size=size, random_state=seed))
