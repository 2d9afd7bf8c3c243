"""How unsure an answer is: prediction entropy, with and without the label. Larger is surer, hence more member-like.

Song, Mittal 2021, "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595, section 3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

SMALLEST = 1e-300
"""Keeps logarithms finite where an answer is certain to the last digit."""


def entropy(log_probs: Floats) -> Floats:
    """−Σ p_i log p_i of each answer, float64 (n,), in nats.

    Args:
        log_probs: finite log-probabilities (n, classes).
    """
    p, rest = _both(log_probs)
    # log p of the likeliest class rounds to 0 long before the sum of the others does.
    exact = np.where(p > 0.5, np.log1p(-np.minimum(rest, 0.5)), log_probs)
    return np.asarray(-(p * exact).sum(axis=1))


def modified_entropy(log_probs: Floats, labels: Labels) -> Floats:
    """−(1 − p_y) log p_y − Σ_{i≠y} p_i log(1 − p_i) of each answer, float64 (n,); 0 where it is right and certain.

    Args:
        log_probs: finite log-probabilities (n, classes).
        labels: (n,), the label y of each record.
    """
    p, rest = _both(log_probs)
    rows = np.arange(len(labels))
    exact = np.where(p > 0.5, np.log1p(-np.minimum(rest, 0.5)), log_probs)
    others = -p * np.where(p > 0.5, np.log(np.maximum(rest, SMALLEST)), np.log1p(-np.minimum(p, 0.5)))
    others[rows, labels] = 0.0
    return np.asarray(others.sum(axis=1) - rest[rows, labels] * exact[rows, labels])


def sureness(values: Floats) -> Floats:
    """−log of an entropy: the same order, without crowding at 0."""
    return np.asarray(-np.log(np.maximum(values, SMALLEST)))


def _both(log_probs: Floats) -> tuple[Floats, Floats]:
    """p and 1 − p of each class, the latter as the sum of the others so that nothing is lost near 1."""
    p = np.exp(log_probs)
    p /= p.sum(axis=1, keepdims=True)
    top = p.argmax(axis=1)
    rows = np.arange(len(p))
    rest = 1.0 - p
    others = p.copy()
    others[rows, top] = 0.0
    rest[rows, top] = others.sum(axis=1)
    return p, rest
