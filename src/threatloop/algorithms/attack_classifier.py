"""A classifier that tells answers on training records from answers on others, learned from shadow models."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.algorithms.uncertainty import entropy, modified_entropy, sureness
from threatloop.core.assets import Dataset
from threatloop.numerics.roc import auc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Learner = Literal["best", "logistic", "trees"]

TOP = 10
"""Sorted log-probabilities that enter; those behind add nothing that the entropy does not say."""
MOST_LABELS = 100
"""Classes that enter one-hot; with more, each has too few records."""
MOST_ROWS = 60_000
FLOOR = -40.0


def features(log_probs: npt.NDArray[np.float32], data: Dataset) -> Floats:
    """One row per record: membership signal, entropies, rank of the label, sorted log-probabilities, one-hot label.

    Args:
        log_probs: a service's answers (n, classes).
        data: the n records.
    """
    kind = modality.of(data.schema)
    scores = kind.posteriors(log_probs, data)
    own = scores[np.arange(len(data)), data.y]
    rank = (scores > own[:, None]).sum(axis=1)
    ordered = -np.sort(-scores, axis=1)[:, :TOP]
    columns = [
        np.maximum(kind.membership_signal(log_probs, data), FLOOR)[:, None],
        np.maximum(own, FLOOR)[:, None],
        sureness(entropy(scores))[:, None],
        sureness(modified_entropy(scores, data.y))[:, None],
        (rank == 0)[:, None],
        np.log1p(rank)[:, None],
        np.maximum(ordered, FLOOR),
    ]
    if data.n_classes <= MOST_LABELS:
        columns.append(data.y[:, None] == np.arange(data.n_classes))
    return np.concatenate([np.asarray(column, np.float64) for column in columns], axis=1)


def learned(rows: Floats, masks: Bools, learner: Learner, rng: np.random.Generator) -> Any:
    """A fitted classifier of membership.

    ``best`` tries each learner on shadow models that it was not fitted on: answers of one model are alike, so that
    a random split of the rows would flatter whatever remembers models.

    Args:
        rows: (K, n, features), of every shadow model's answers on every candidate.
        masks: (K, n), whether the model was trained on the record.
        learner: which.
        rng: draws rows, where there are too many, and the trees' randomness.
    """
    kinds = _learners(int(rng.integers(2**31)))
    if learner == "best":
        learner = _better(kinds, rows, masks, rng) if len(masks) >= 4 else "logistic"
    return kinds[learner].fit(*_sample(rows, masks, MOST_ROWS, rng))


def _better(kinds: dict[Learner, Any], rows: Floats, masks: Bools, rng: np.random.Generator) -> Learner:
    held = np.arange(len(masks)) % 4 == 0
    train = _sample(rows[~held], masks[~held], MOST_ROWS // 2, rng)
    found = {}
    for name, kind in kinds.items():
        model = kind.fit(*train)
        areas = [auc(model.decision_function(one), inside) for one, inside in zip(rows[held], masks[held], strict=True)]
        found[name] = float(np.mean([area for area in areas if isinstance(area, float)] or [0.5]))
    return max(found, key=lambda name: found[name])


def _sample(rows: Floats, masks: Bools, most: int, rng: np.random.Generator) -> tuple[Floats, Bools]:
    flat, inside = rows.reshape(-1, rows.shape[2]), masks.ravel()
    if len(inside) <= most:
        return flat, inside
    chosen = rng.choice(len(inside), most, replace=False)
    return flat[chosen], inside[chosen]


def _learners(seed: int) -> dict[Learner, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=15, learning_rate=0.08, min_samples_leaf=40, early_stopping=False, random_state=seed
    )
    return {"logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)), "trees": trees}
