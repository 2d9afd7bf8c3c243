"""Which answer a model's behaviour favours when every possible one is put into the unknown column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from threatloop import modality
from threatloop.algorithms.attributes import Question, cross_imputed, imputed
from threatloop.core.assets import Dataset
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FLOOR = -30.0
TOWARDS = 0.02
"""Weight of the pull towards the guess without a model: with little to learn from, it stays that guess."""
MOST_POOL = 3000


def behaviour(answers: list[npt.NDArray[np.float32]], data: Dataset) -> Floats:
    """(n, answers, 3): log p(true label), whether the label is right, and log p of the predicted label.

    Args:
        answers: per possible answer the model's log-probabilities (n, classes) with it filled in.
        data: the n records with their labels.
    """
    kind, rows = modality.of(data.schema), np.arange(len(data))
    scores = np.stack([kind.posteriors(one, data) for one in answers], axis=1)
    own = scores[rows, :, data.y]
    right = scores.argmax(axis=2) == data.y[:, None]
    return np.stack([np.maximum(own, FLOOR), right, scores.max(axis=2)], axis=2)


def csmia(seen: Floats) -> Floats:
    """Scores (n, answers), largest where confidence-score-based model inversion decides.

    One answer with the right label: that one. Several: the most confident of them. None: the least confident one.
    Mehnaz et al. 2022, arXiv 2201.09370, section 4.1.
    """
    right, confidence = seen[..., 1] > 0, seen[..., 2]
    some = right.any(axis=1, keepdims=True)
    return np.where(some, np.where(right, confidence, 2 * FLOOR), -confidence)


def bayes(seen: Floats, prior: Floats) -> Floats:
    """log p(answer | other columns) + log p(true label | answer): Fredrikson et al. 2014, with confidences."""
    return prior + seen[..., 0]


def combined(seen: Floats, guess: Floats, weights: Floats) -> Floats:
    """The guess without the model and the model's behaviour, weighted: scores (n, answers)."""
    return np.asarray(_evidence(seen, guess) @ weights)


def learned_weights(
    training: Training, pool: Dataset, asked: Question, models: int, streams: Streams, *, unseen: bool = False
) -> Floats:
    """How much each piece of evidence weighs, learned on models of the attacker's own.

    Each is trained like the victim on half of the attacker's records, so that half of what is learned from are
    records that the model was trained on: as for the victim's candidates.

    Args:
        training: the victim's.
        pool: the attacker's complete records.
        asked: about which column.
        models: how many to train.
        streams: of the attack.
        unseen: learn from records that the model was not trained on alone.
    """
    rng = streams.numpy("attribute models")
    pool = pool.take(rng.permutation(len(pool))[:MOST_POOL])
    masks = np.argsort(np.argsort(rng.random((models, len(pool))), axis=1), axis=1) < max(1, len(pool) // 2)
    trained = training.fit_many(pool, masks, [streams.child(f"attribute-{k}") for k in range(models)])
    truth = asked.codes(pool)
    filled = [training.answers(trained, asked.filled(pool, v)) for v in range(len(asked.values))]
    guess = cross_imputed(pool, asked, label=True, rng=rng)
    parts, answers = [], []
    for k in range(models):
        used = (truth >= 0) & ~(masks[k] & unseen)
        parts.append(_evidence(behaviour([one[k] for one in filled], pool), guess)[used])
        answers.append(truth[used])
    return _fitted(np.concatenate(parts), np.concatenate(answers))


def without_victim(
    training: Training, pool: Dataset, partial: Dataset, asked: Question, models: int, streams: Streams
) -> Floats:
    """The same decision with a model of the attacker's own in the victim's place: scores (n, answers).

    Whatever it gets right, it got right without the victim.
    """
    weights = learned_weights(training, pool, asked, models, streams, unseen=True)
    own = [training.fit(pool, streams.child("attribute-own"))]
    answers = [training.answers(own, asked.filled(partial, v))[0] for v in range(len(asked.values))]
    return combined(behaviour(answers, partial), imputed(pool, partial, asked, label=True), weights)


def _evidence(seen: Floats, guess: Floats) -> Floats:
    """(n, answers, 4), each less its mean over the answers: constant shifts decide nothing."""
    parts = np.concatenate([guess[..., None], seen], axis=2)
    return np.asarray(parts - parts.mean(axis=1, keepdims=True))


def _fitted(parts: Floats, truth: Codes) -> Floats:
    """Weights of a conditional logit model, pulled towards the first piece of evidence alone."""
    if len(truth) == 0:
        return np.array([1.0, 0.0, 0.0, 0.0])
    start, rows = np.array([1.0, 0.0, 0.0, 0.0]), np.arange(len(truth))

    def cost(weights: Floats) -> tuple[float, Floats]:
        scores = parts @ weights
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        p /= p.sum(axis=1, keepdims=True)
        pull = weights - start
        value = -np.log(np.maximum(p[rows, truth], 1e-300)).mean() + TOWARDS * (pull**2).sum()
        gradient = ((p[..., None] * parts).sum(axis=1) - parts[rows, truth]).mean(axis=0) + 2 * TOWARDS * pull
        return float(value), gradient

    return np.asarray(minimize(cost, start, jac=True, method="L-BFGS-B").x)
