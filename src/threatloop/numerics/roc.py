"""ROC curves, area under them and the true-positive rate at a low false-positive rate.

A higher score always means "more likely a member".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from threatloop.numerics.arrays import Bools, Floats, average_ranks, fraction, scores_and_labels
from threatloop.numerics.undefined import Undefined

MIN_FALSE_POSITIVES = 10.0
"""Expected false positives below which a true-positive rate at that level is not resolved."""


@dataclass(frozen=True)
class Roc:
    """Operating points from "accept none" to "accept all", one per distinct score.

    Args:
        fpr: false-positive rates, shape (t,), rising from 0 to 1.
        tpr: true-positive rates, shape (t,), rising from 0 to 1.
        thresholds: shape (t,), falling, the first is +inf; a record is accepted when score >= threshold.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats


def one_class_reason(member: Bools) -> str | None:
    """Why no comparison is possible, or None where both classes are present."""
    if member.all() or not member.any():
        return f"it needs members and non-members, got {int(member.sum())} and {int((~member).sum())}"
    return None


def roc_curve(scores: ArrayLike, member: ArrayLike) -> Roc | Undefined:
    """Every operating point of a score; tied scores share one point, as in scikit-learn (nothing dropped).

    Args:
        scores: shape (n,), higher means member; infinities allowed.
        member: shape (n,), booleans or 0/1.

    Raises:
        InputError: shapes differ, NaN scores, labels other than 0/1.
    """
    values, labels = scores_and_labels(scores, member)
    if reason := one_class_reason(labels):
        return Undefined(reason)
    order = np.argsort(-values, kind="stable")
    values, labels = values[order], labels[order]
    last_of_tie = np.append(values[1:] != values[:-1], True)
    true_positives = np.cumsum(labels)[last_of_tie]
    accepted = np.flatnonzero(last_of_tie) + 1
    tpr = np.concatenate([[0.0], true_positives / labels.sum()])
    fpr = np.concatenate([[0.0], (accepted - true_positives) / (~labels).sum()])
    return Roc(fpr, tpr, np.concatenate([[np.inf], values[last_of_tie]]))


def auc(scores: ArrayLike, member: ArrayLike) -> float | Undefined:
    """Chance in [0, 1] that a random member outscores a random non-member, ties counted half (Mann-Whitney).

    Args:
        scores: shape (n,), higher means member.
        member: shape (n,), booleans or 0/1.

    Raises:
        InputError: shapes differ, NaN scores, labels other than 0/1.
    """
    values, labels = scores_and_labels(scores, member)
    if reason := one_class_reason(labels):
        return Undefined(reason)
    members, others = int(labels.sum()), int((~labels).sum())
    rank_sum = float(average_ranks(values)[labels].sum())
    return (rank_sum - members * (members + 1) / 2) / (members * others)


def tpr_at_fpr(scores: ArrayLike, member: ArrayLike, alpha: float) -> float | Undefined:
    """Largest true-positive rate in [0, 1] of an operating point whose false-positive rate is at most `alpha`.

    Nothing is interpolated: a rate between two points would need a randomised attacker. The figure is undefined
    where fewer than ten false positives are expected, since the threshold then rests on a handful of records.

    Args:
        scores: shape (n,), higher means member.
        member: shape (n,), booleans or 0/1.
        alpha: false-positive rate in (0, 1).

    Raises:
        InputError: shapes differ, NaN scores, labels other than 0/1, alpha out of range.
    """
    fraction(alpha, "alpha")
    curve = roc_curve(scores, member)
    if isinstance(curve, Undefined):
        return curve
    others = int(np.size(member) - np.count_nonzero(np.asarray(member)))
    # The tolerance keeps e.g. .01 * 1000 from missing the limit by a rounding error.
    if alpha * others < MIN_FALSE_POSITIVES - 1e-9:
        needed = int(np.ceil(MIN_FALSE_POSITIVES / alpha - 1e-9))
        return Undefined(
            f"{others} non-members give {alpha * others:.3g} expected false positives at {alpha:g}; "
            f"unresolved below {needed} non-members"
        )
    return float(curve.tpr[curve.fpr <= alpha + 1e-12].max())
