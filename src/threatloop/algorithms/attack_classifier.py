"""A classifier that tells answers on training records from answers on others, learned from shadow models."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from threatloop import modality
from threatloop.algorithms.uncertainty import entropy, modified_entropy, sureness
from threatloop.core.assets import Dataset
from threatloop.numerics.roc import auc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Learner = Literal["best", "logistic", "trees", "free"]

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


def signs(width: int, classes: int) -> npt.NDArray[np.int64]:
    """Which way each feature may move membership, (width,): 1 up, −1 down, 0 either; surer is never less member-like.

    Without this a classifier learned where training changes little takes noise for a sign, and then misses members of
    whom the model is surer than shadow models ever were.
    """
    top = min(TOP, classes)
    found = [1, 1, 1, 1, 1, -1, 1, *[-1] * (top - 1)]
    return np.array(found + [0] * (width - len(found)), np.int64)


def learned(
    rows: Floats, masks: Bools, directions: npt.NDArray[np.int64], learner: Learner, rng: np.random.Generator
) -> Any:
    """A fitted classifier of membership.

    ``best`` tries each learner on shadow models that it was not fitted on: answers of one model are alike, so that
    a random split of the rows would flatter whatever remembers models.

    Args:
        rows: (K, n, features), of every shadow model's answers on every candidate.
        masks: (K, n), whether the model was trained on the record.
        directions: of the features, as from `signs`.
        learner: which.
        rng: draws rows, where there are too many, and the trees' randomness.
    """
    kinds = _learners(int(rng.integers(2**31)), directions)
    if learner == "best":
        learner = _better(kinds, rows, masks, rng) if len(masks) >= 4 else "logistic"
    return kinds[learner].fit(*_sample(rows, masks, MOST_ROWS, rng))


def _better(kinds: dict[Learner, Any], rows: Floats, masks: Bools, rng: np.random.Generator) -> Learner:
    """Of the learners with signs: what is right about answers like the shadow models' only is no reason to trust it."""
    held = np.arange(len(masks)) % 4 == 0
    train = _sample(rows[~held], masks[~held], MOST_ROWS // 2, rng)
    found: dict[Learner, float] = {}
    names: tuple[Learner, ...] = ("logistic", "trees")
    for name in names:
        model = kinds[name].fit(*train)
        areas = [auc(model.decision_function(one), inside) for one, inside in zip(rows[held], masks[held], strict=True)]
        found[name] = float(np.mean([area for area in areas if isinstance(area, float)] or [0.5]))
    return max(found, key=lambda name: found[name])


def _sample(rows: Floats, masks: Bools, most: int, rng: np.random.Generator) -> tuple[Floats, Bools]:
    flat, inside = rows.reshape(-1, rows.shape[2]), masks.ravel()
    if len(inside) <= most:
        return flat, inside
    chosen = rng.choice(len(inside), most, replace=False)
    return flat[chosen], inside[chosen]


def _learners(seed: int, directions: npt.NDArray[np.int64]) -> dict[Learner, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    free, trees = (
        HistGradientBoostingClassifier(
            max_iter=80,
            max_leaf_nodes=15,
            learning_rate=0.08,
            min_samples_leaf=40,
            early_stopping=False,
            random_state=seed,
            monotonic_cst=bound,
        )
        for bound in (None, directions)
    )
    return {"logistic": SignedLogistic(directions), "trees": trees, "free": free}


class SignedLogistic:
    """Logistic regression on standardised features whose weights have given signs.

    Args:
        directions: 1, −1 or 0 per feature.
        ridge: weight of the squared weights, per record.
    """

    def __init__(self, directions: npt.NDArray[np.int64], ridge: float = 1e-3) -> None:
        self.directions, self.ridge = directions, ridge

    def fit(self, rows: Floats, inside: Bools) -> SignedLogistic:
        """Fit; returns itself."""
        self.mean, self.scale = rows.mean(axis=0), rows.std(axis=0)
        self.scale[self.scale < 1e-12] = 1.0
        x, target = (rows - self.mean) / self.scale, inside.astype(np.float64)

        def cost(weights: Floats) -> tuple[float, Floats]:
            score = x @ weights[1:] + weights[0]
            error = expit(score) - target
            value = float(
                np.logaddexp(0, score).mean() - (score * target).mean() + self.ridge * (weights[1:] ** 2).sum()
            )
            slope = x.T @ error / len(x) + 2 * self.ridge * weights[1:]
            return value, np.concatenate([[error.mean()], slope])

        bounds = [(None, None), *((0 if d > 0 else None, 0 if d < 0 else None) for d in self.directions)]
        found = minimize(
            cost, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}
        )
        self.intercept, self.weights = float(found.x[0]), np.asarray(found.x[1:])
        return self

    def decision_function(self, rows: Floats) -> Floats:
        """Log-odds, (n,)."""
        return np.asarray((rows - self.mean) / self.scale @ self.weights + self.intercept)
