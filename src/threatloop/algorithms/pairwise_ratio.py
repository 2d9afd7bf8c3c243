"""Membership by how far a record's likelihood stands out among records that nobody trained on, vectorised.

Zarifzadeh, Liu, Shokri 2024, "Low-Cost High-Power Membership Inference Attacks", arXiv 2312.03262, section 3:
LR(x, z) = [p(x|θ) / p(x)] / [p(z|θ) / p(z)], score = share of z with LR(x, z) ≥ γ. All in logarithms.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logsumexp

from threatloop.core.errors import InputError
from threatloop.numerics.roc import auc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TIE = 1e-7
"""A finite population ties many records; within a tie, which alone this cannot cross, the ratio itself decides."""
GRID = tuple(i / 10 for i in range(11))
MOST_TARGETS = 8
USUAL_A = 0.3
"""Of the paper's experiments on CIFAR-10; used where the shadow models are too few to try others."""


def shares(log_x: Floats, log_px: Floats, log_z: Floats, log_pz: Floats, gamma: float) -> Floats:
    """The share of the population over which each record dominates, float64 (n,), in [0, 1].

    Args:
        log_x: log p(x|θ) of each record under the victim, (n,); NaN gives NaN.
        log_px: log p(x), (n,).
        log_z, log_pz: the same of the population, (m,), m ≥ 1.
        gamma: > 0; how many times more likely counts as dominating.
    """
    ratio = log_x - log_px
    population = np.sort(log_z - log_pz)
    found = np.searchsorted(population, ratio - np.log(gamma), side="right") / len(population)
    broken = (found + TIE * expit(ratio)) / (1 + TIE)
    return np.asarray(np.where(np.isfinite(log_x), broken, np.nan))


def online(log_probs: Floats, masks: Bools) -> Floats:
    """log p(x) with models of both kinds at equal weight, (n,).

    Args:
        log_probs: log p(x|θ') of every reference model, (K, n).
        masks: (K, n), whether it was trained on the record.
    """
    inside, outside = _log_mean(log_probs, masks, "in"), _log_mean(log_probs, ~masks, "out")
    return np.asarray(np.logaddexp(inside, outside) - np.log(2))


def offline(log_probs: Floats, masks: Bools, a: float) -> Floats:
    """log p(x) from models that were not trained on the record: ½ ((1 + a) p_out(x) + 1 − a), (n,)."""
    return _corrected(_log_mean(log_probs, ~masks, "out"), a)


def population(log_probs: Floats) -> Floats:
    """log p(z) as the mean over all reference models, (m,), from (K, m)."""
    return _log_mean(log_probs, np.ones(log_probs.shape, np.bool_), "reference")


def best_a(log_probs: Floats, masks: Bools) -> float:
    """The correction with which the reference models, attacked in turn by the others, are attacked best (mean AUC).

    Appendix of the paper: "a" is found with the attacker's own reference models.
    """
    areas = np.zeros(len(GRID))
    tried = 0
    for k in range(min(MOST_TARGETS, len(masks))):
        others = np.arange(len(masks)) != k
        usable = (~masks[others]).any(axis=0)
        if min((masks[k] & usable).sum(), (~masks[k] & usable).sum()) < 2:
            continue
        out = _log_mean(log_probs[others][:, usable], ~masks[others][:, usable], "out")
        found = [auc(log_probs[k, usable] - _corrected(out, a), masks[k, usable]) for a in GRID]
        areas += [one if isinstance(one, float) else 0.5 for one in found]
        tried += 1
    return GRID[int(areas.argmax())] if tried > 1 else USUAL_A


def _corrected(log_out: Floats, a: float) -> Floats:
    rest = np.log1p(-a) if a < 1 else -np.inf
    return np.asarray(np.logaddexp(np.log1p(a) + log_out, rest) - np.log(2))


def _log_mean(log_probs: Floats, chosen: Bools, word: str) -> Floats:
    counts = chosen.sum(axis=0)
    if (counts == 0).any():
        record = int(np.flatnonzero(counts == 0)[0])
        raise InputError(f"record {record} has no '{word}' reference model; train more shadow models")
    return np.asarray(logsumexp(np.where(chosen, log_probs, -np.inf), axis=0) - np.log(counts))
