"""Can members be told from non-members without asking the model? Then a membership figure means nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.record_features import channel_scale, parts, vectors
from threatloop.core.assets import Dataset
from threatloop.numerics.intervals import auc_interval
from threatloop.numerics.roc import auc
from threatloop.numerics.undefined import Undefined

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

DIRECTIONS = 64
"""Random projections of wider records, so that large images cost no more than small ones."""
FEWEST = 20
"""Members and non-members each; with fewer the classifiers learn nothing."""
ROUNDS = 2


@dataclass(frozen=True)
class Separation:
    """Out-of-fold AUC of a classifier of membership that sees records and labels, with a 95 % interval."""

    auc: float
    low: float
    high: float


def separation(data: Dataset, member: Bools, rng: np.random.Generator) -> Separation | Undefined:
    """Cross-fitted over halves: trained on one, tried on the other, both ways, `ROUNDS` times; the better kind counts.

    The halves' AUCs are strongly dependent - each half's true difference is what the other half learns - so
    their interval ends are averaged rather than narrowed. A linear classifier and boosted trees are tried at half the
    error rate each, and the one whose interval is further from .5 is reported.

    Args:
        data: n records.
        member: (n,) whether each is a member.
        rng: draws projections and halves.
    """
    if min(member.sum(), (~member).sum()) < FEWEST:
        return Undefined(f"it needs {FEWEST} members and non-members; there are {member.sum()} and {(~member).sum()}")
    x = _features(data, rng)
    folds = [_halves(member, rng) for _ in range(ROUNDS)]
    found = [_cross_fitted(model, x, member, folds) for model in _classifiers()]
    return max(found, key=lambda one: max(one.low - 0.5, 0.5 - one.high))


def _features(data: Dataset, rng: np.random.Generator) -> Floats:
    scale = channel_scale(next(parts(data)))
    onto = rng.standard_normal((len(scale), DIRECTIONS), dtype=np.float32) / np.float32(len(scale) ** 0.5)
    narrow = len(scale) <= DIRECTIONS
    rows = [vectors(part) / scale if narrow else (vectors(part) / scale) @ onto for part in parts(data)]
    classes = (data.y[:, None] == np.arange(data.n_classes)).astype(np.float32)
    return np.concatenate([np.concatenate(rows), classes], axis=1)


def _halves(member: Bools, rng: np.random.Generator) -> Bools:
    """(n,) a random half, with half of the members in it."""
    half = np.zeros(len(member), np.bool_)
    for kind in (member, ~member):
        rows = rng.permutation(np.flatnonzero(kind))
        half[rows[: len(rows) // 2]] = True
    return half


def _classifiers() -> tuple[Any, Any]:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = GradientBoostingClassifier(n_estimators=40, max_depth=3, subsample=0.5, max_features=16, random_state=0)
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200)), trees


def _cross_fitted(model: Any, x: Floats, member: Bools, folds: list[Bools]) -> Separation:
    ends = []
    for half in folds:
        for train in (half, ~half):
            scores = model.fit(x[train], member[train]).predict_proba(x[~train])[:, 1]
            area, interval = auc(scores, member[~train]), auc_interval(scores, member[~train], level=0.975)
            if isinstance(area, Undefined) or isinstance(interval, Undefined):
                raise AssertionError("both kinds are in every half")
            ends.append((area, interval.low, interval.high))
    return Separation(*(float(value) for value in np.mean(ends, axis=0)))
