"""Class-dependent thresholds, learned from shadow models that were trained with and without each record."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]

FEWEST = 20
"""Shadow answers of each kind that a class needs for a threshold of its own; else it takes that of all classes."""


def class_thresholds(signals: Floats, masks: Bools, labels: Labels, classes: int) -> Floats:
    """Per class the cut at which in and out answers of the shadow models are told apart best, float64 (classes,).

    Best is the largest true-positive rate minus false-positive rate; of equally good cuts the middle one.

    Args:
        signals: every shadow model's signal on each record, (K, n); larger is more member-like.
        masks: (K, n), whether the model was trained on the record.
        labels: (n,), of the records.
        classes: how many there are.
    """
    common = _cut(signals.ravel(), masks.ravel())
    found = np.full(classes, common)
    for c in range(classes):
        inside = masks[:, labels == c].ravel()
        if min(inside.sum(), (~inside).sum()) >= FEWEST:
            found[c] = _cut(signals[:, labels == c].ravel(), inside)
    return found


def _cut(signals: Floats, inside: Bools) -> float:
    order = np.argsort(signals, kind="stable")
    values, kind = signals[order], inside[order]
    below_in, below_out = np.cumsum(kind), np.cumsum(~kind)
    gain = below_out / max(1, below_out[-1]) - below_in / max(1, below_in[-1])
    # A cut lies between two different values only.
    gain[:-1][values[:-1] == values[1:]] = -np.inf
    if len(values) < 2:
        return float(values[0])
    best = np.flatnonzero(gain[:-1] >= gain[:-1].max() - 1e-12)
    at = int(best[len(best) // 2])
    return float((values[at] + values[at + 1]) / 2) if np.isfinite(gain[at]) else float(values[0])
