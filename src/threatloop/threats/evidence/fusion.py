"""Signals made one probability: a conditional logit over techniques, or fused ranks where nothing can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.threats.evidence.signals import Floats

DECAY = 0.01
"""Penalty on the squared weights of standardised signals; fixed, not tuned."""
RANK_OFFSET = 60
"""Constant of reciprocal rank fusion, as published."""


@dataclass(frozen=True)
class Fusion:
    """Weights of signals.

    The probability of technique t is softmax over techniques of Σ weight · signal (McFadden 1974, conditional logit);
    the same weights for all techniques, so that one without examples can be chosen.

    Attributes:
        names: of the signals, in the order of the weights.
        weights: float64 (signals,).
    """

    names: tuple[str, ...]
    weights: Floats

    def probabilities(self, signals: dict[str, Floats]) -> Floats:
        """Float64 (n, techniques), rows sum to 1."""
        return _softmax(np.stack([signals[name] for name in self.names], -1) @ self.weights)


def learn(signals: dict[str, Floats], labels: npt.NDArray[np.int64]) -> Fusion:
    """Weights of largest likelihood, with a small penalty, for passages whose technique is known.

    Args:
        signals: float64 (n, techniques) each, computed without the study that the passage is from.
        labels: int (n,), the right technique of each.
    """
    from scipy.optimize import minimize

    names = tuple(signals)
    stacked = np.stack([signals[name] for name in names], -1)
    scale = stacked.std((0, 1)).clip(1e-9)
    stacked = (stacked - stacked.mean((0, 1))) / scale
    right = stacked[np.arange(len(labels)), labels]

    def loss(weights: Floats) -> tuple[float, Floats]:
        chances = _softmax(stacked @ weights)
        likelihood = np.log(chances[np.arange(len(labels)), labels].clip(1e-300)).mean()
        slope = (np.einsum("nt,ntf->f", chances, stacked) - right.sum(0)) / len(labels)
        return float(-likelihood + DECAY * weights @ weights), slope + 2 * DECAY * weights

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B")
    return Fusion(names, np.asarray(found.x / scale))


def fused_ranks(signals: Sequence[Floats]) -> Floats:
    """Reciprocal rank fusion, scaled to [0, 1]: 1 is first everywhere. Float64 (n, techniques).

    Cormack, Clarke & Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods". A score, not a probability.
    """
    ranks = [(-one).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") for one in signals]
    return np.asarray(np.mean([(RANK_OFFSET + 1) / (RANK_OFFSET + 1 + rank) for rank in ranks], axis=0))


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
