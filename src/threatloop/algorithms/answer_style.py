"""How a model answers, beside what it answers: the features by which one architecture is told from another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.distil import LOG_FLOOR

Floats = npt.NDArray[np.float64]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def styles(log_probs: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], query: npt.NDArray[np.float32]) -> Floats:
    """Features of every example and, last, of the query: float64 (n + 1, features).

    For each group, how far the answers are from the group's average answers (an example is left out of its own
    average) and how often the most likely class is the same; then quantiles of the answers' margin and entropy.

    Args:
        log_probs: (n, records, classes) of models of known groups, at least two of each.
        groups: (n,).
        query: (records, classes) of the model in question.
    """
    probs = np.exp(np.concatenate([log_probs, query[None]]).astype(np.float64))
    found = [_agreement(probs, groups, g) for g in range(int(groups.max()) + 1)]
    two = np.partition(probs, -2, axis=2)[:, :, -2:]
    entropy = -(probs * np.maximum(np.log(np.maximum(probs, 1e-30)), LOG_FLOOR)).sum(axis=2)
    for values in (two[:, :, 1] - two[:, :, 0], entropy):
        found.append(np.quantile(values, QUANTILES, axis=1).T)
        found.append(values.mean(axis=1, keepdims=True))
    return np.concatenate(found, axis=1)


def _agreement(probs: Floats, groups: npt.NDArray[np.int64], group: int) -> Floats:
    """Distance and agreement (n + 1, 2) of every model to a group's average without itself."""
    own = np.append(groups == group, False)
    total, count = probs[own].sum(axis=0), int(own.sum())
    average = (total - probs * own[:, None, None]) / (count - own)[:, None, None]
    away = np.abs(probs - average).sum(axis=2).mean(axis=1)
    same = (probs.argmax(axis=2) == average.argmax(axis=2)).mean(axis=1)
    return np.stack([away, same], axis=1)
