"""Matrices that are a sum of products of thin ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Pair = tuple[Matrix, Matrix]
"""Left (m, r) and right (r, n) factor of a matrix (m, n)."""


def singular(parts: Sequence[tuple[float, Pair]]) -> tuple[Matrix, npt.NDArray[np.float64], Matrix]:
    """The singular value decomposition U, s, Vᵀ of a weighted sum of products, without forming it."""
    left = np.concatenate([weight * pair[0] for weight, pair in parts], axis=1)
    right = np.concatenate([pair[1] for _, pair in parts], axis=0)
    q, r = np.linalg.qr(left)
    p, t = np.linalg.qr(right.T)
    u, s, v = np.linalg.svd(r @ t.T)
    return q @ u, s, v @ p.T


def nearest(parts: Sequence[tuple[float, Pair]], rank: int) -> Pair:
    """The factors of the nearest matrix of this rank to a weighted sum of products (Eckart & Young 1936)."""
    u, s, v = singular(parts)
    found = min(rank, len(s))
    root = np.sqrt(s[:found])
    left, right = np.zeros((u.shape[0], rank)), np.zeros((rank, v.shape[1]))
    left[:, :found], right[:found] = u[:, :found] * root, root[:, None] * v[:found]
    return left, right
