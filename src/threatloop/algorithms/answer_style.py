"""How a model answers, beside what it answers: the features by which one architecture is told from another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.distil import LOG_FLOOR

Floats = npt.NDArray[np.float64]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SMALLEST = 1e-9


def styles(
    log_probs: npt.NDArray[np.float32], groups: npt.NDArray[np.int64], parts: Sequence[npt.NDArray[np.bool_]]
) -> Floats:
    """Features of every model: float64 (n, features).

    Per part of the records, twice: of the probabilities, and of the logits on one scale per model, since how sure a
    model is says more about how long and on how much it was trained than about its layers. For each group the distance
    to the group's average answer (a model is left out of its own average) and how often the most likely class is the
    same; then how margins, entropies and sorted logits are distributed; last how much larger answers on one part are
    than on another.

    Args:
        log_probs: (n, records, classes).
        groups: (n,) of each model; −1 for the ones in question. Every other number to the largest occurs twice.
        parts: boolean masks (records,); empty ones are passed over.
    """
    logits = np.maximum(log_probs, LOG_FLOOR).astype(np.float64)
    logits = logits - logits.mean(axis=2, keepdims=True)
    probs = np.exp(log_probs.astype(np.float64))
    sizes, found = [], []
    for part in (part for part in parts if part.any()):
        size = np.sqrt((logits[:, part] ** 2).mean(axis=(1, 2)))
        sizes.append(np.log(size + SMALLEST))
        even = logits[:, part] / (size + SMALLEST)[:, None, None]
        for group in range(int(groups.max()) + 1):
            found += [_agreement(probs[:, part], groups == group), _agreement(even, groups == group)]
        found += [_shape(probs[:, part]), np.sort(even, axis=2).mean(axis=1), _shape(even)]
        entropy = -(probs[:, part] * np.maximum(log_probs[:, part], LOG_FLOOR)).sum(axis=2)
        found.append(np.quantile(entropy, QUANTILES, axis=1).T)
    found += [(one - sizes[0])[:, None] for one in sizes[1:]]
    return np.concatenate(found, axis=1)


def _agreement(values: Floats, own: npt.NDArray[np.bool_]) -> Floats:
    """Log distance and agreement (n, 2) of every model to a group's average without itself."""
    total, count = values[own].sum(axis=0), int(own.sum())
    average = (total - values * own[:, None, None]) / (count - own)[:, None, None]
    away = np.log(np.abs(values - average).mean(axis=(1, 2)) + SMALLEST)
    same = (values.argmax(axis=2) == average.argmax(axis=2)).mean(axis=1)
    return np.stack([away, same], axis=1)


def _shape(values: Floats) -> Floats:
    """Quantiles over the records of the largest entry and of its distance to the second, (n, 2 · quantiles)."""
    two = np.partition(values, -2, axis=2)[:, :, -2:]
    columns = (two[:, :, 1], two[:, :, 1] - two[:, :, 0])
    return np.concatenate([np.quantile(one, QUANTILES, axis=1).T for one in columns], axis=1)
