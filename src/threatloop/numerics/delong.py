"""Interval of the area under one ROC curve."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike
from scipy.special import ndtri

from threatloop.numerics.arrays import Bools, Floats, average_ranks, fraction, scores_and_labels
from threatloop.numerics.figures import Interval
from threatloop.numerics.roc import auc, one_class_reason
from threatloop.numerics.undefined import Undefined


def delong_variance(scores: Floats, member: Bools) -> float:
    """Variance of the AUC from placements (DeLong, DeLong & Clarke-Pearson 1988), by midranks (Sun & Xu 2014).

    Needs at least two members and two non-members.
    """
    ranks = average_ranks(scores)
    inside, outside = scores[member], scores[~member]
    m, n = inside.size, outside.size
    member_placement = (ranks[member] - average_ranks(inside)) / n
    other_placement = 1 - (ranks[~member] - average_ranks(outside)) / m
    return float(member_placement.var(ddof=1) / m + other_placement.var(ddof=1) / n)


def _score_variance(area: float, m: int, n: int) -> float:
    # Hanley & McNeil's exponential variance with both class sizes set to their mean (Newcombe 2006, method 5).
    half = (m + n) / 2 - 1
    shape = 1 + half * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * shape / (m * n)


def _score_end(area: float, end: float, m: int, n: int, z: float) -> float:
    def excess(candidate: float) -> float:
        return abs(area - candidate) - z * math.sqrt(_score_variance(candidate, m, n))

    # The area itself is a root where its variance vanishes (0 or 1): look strictly beside it.
    beside = area + (end - area) * 1e-12
    from scipy.optimize import brentq  # half a second to import, and not needed to read results

    return end if area == end else float(brentq(excess, end, beside, xtol=1e-12))


def auc_interval(scores: ArrayLike, member: ArrayLike, level: float = 0.95) -> Interval | Undefined:
    """Confidence interval of the AUC over records of one seed; always inside [0, 1].

    DeLong's variance on the logit scale. Where that variance vanishes or cannot be had - perfect or reversed
    separation, a class of one - Newcombe's score interval, which has width even at an AUC of 1.

    Args:
        scores: shape (n,), higher means member.
        member: shape (n,), booleans or 0/1.
        level: nominal coverage in (0, 1).

    Raises:
        InputError: shapes differ, NaN scores, labels other than 0/1, level out of range.
    """
    fraction(level, "level")
    values, labels = scores_and_labels(scores, member)
    area = auc(values, labels)
    if isinstance(area, Undefined):
        return Undefined(one_class_reason(labels) or area.reason)
    m, n = int(labels.sum()), int((~labels).sum())
    z = float(ndtri((1 + level) / 2))
    variance = delong_variance(values, labels) if min(m, n) >= 2 else 0.0
    if 0 < area < 1 and variance > 0:
        centre, half = math.log(area / (1 - area)), z * math.sqrt(variance) / (area * (1 - area))
        low, high = (1 / (1 + math.exp(-end)) for end in (max(centre - half, -700.0), min(centre + half, 700.0)))
        return Interval(low, high, level, "DeLong, logit scale")
    low, high = (_score_end(area, end, m, n, z) for end in (0.0, 1.0))
    return Interval(low, high, level, "Newcombe score")
