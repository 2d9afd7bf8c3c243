"""Which of many unlabelled records an active learner asks about next."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Strategy = Literal["uncertainty", "kcenter", "both"]
SHORTLIST = 3
"""``both`` spreads its choice over this many times as many uncertain records as it needs."""


def choose(strategy: Strategy, log_probs: Floats, asked: Floats, n: int) -> Rows:
    """Positions of the ``n`` records to ask about, int64 (n,), distinct.

    Args:
        strategy: ``uncertainty``, ``kcenter`` in the space of answers, or ``both``: the second among the first's best.
        log_probs: the clone's answers on the records to choose from, (m, classes), m ≥ n.
        asked: its answers on those that were asked before, (k, classes), k ≥ 0.
        n: how many.
    """
    if strategy == "uncertainty":
        return most_uncertain(log_probs, n)
    probs = np.exp(log_probs)
    if strategy == "kcenter":
        return k_center(probs, np.exp(asked), n)
    shortlist = most_uncertain(log_probs, min(len(log_probs), SHORTLIST * n))
    return np.asarray(shortlist[k_center(probs[shortlist], np.exp(asked), n)])


def most_uncertain(log_probs: Floats, n: int) -> Rows:
    """Rows with the smallest margin between the two likeliest classes, the least certain first."""
    two = np.partition(np.exp(log_probs), -2, axis=1)[:, -2:]
    return np.asarray(np.argsort(np.abs(two[:, 1] - two[:, 0]), kind="stable")[:n], dtype=np.int64)


def k_center(points: Floats, centres: Floats, n: int) -> Rows:
    """Greedy k-center: each next row is the one farthest from all centres, those chosen before included.

    At most twice the best possible radius. Gonzalez 1985, "Clustering to minimize the maximum intercluster distance";
    as a query strategy: Sener, Savarese 2018, arXiv 1708.00489.

    Args:
        points: (m, d), m ≥ n.
        centres: (k, d), k ≥ 0; without any the first row is chosen first.
        n: how many.
    """
    points = np.asarray(points, dtype=np.float64)
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(centres), 256):
        block = np.asarray(centres[start : start + 256], dtype=np.float64)
        gaps = (points**2).sum(1)[:, None] - 2 * points @ block.T + (block**2).sum(1)
        nearest = np.minimum(nearest, gaps.min(axis=1))
    nearest = np.maximum(nearest, 0.0)
    chosen = np.empty(n, dtype=np.int64)
    for i in range(n):
        chosen[i] = row = int(nearest.argmax())
        nearest = np.minimum(nearest, ((points - points[row]) ** 2).sum(axis=1))
        nearest[chosen[: i + 1]] = -1.0
    return chosen
