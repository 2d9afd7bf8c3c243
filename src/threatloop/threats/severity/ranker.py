"""A linear ranker of severity: learns from labelled vulnerabilities, predicts the others, and says why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import Ridge

from threatloop.core.seeds import Streams
from threatloop.threats.severity.encoder import ALL, Block, Encoder
from threatloop.threats.severity.folds import FOLDS, Rows, grouped
from threatloop.threats.severity.rows import Features

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge penalties to choose from, by grouped folds inside the training rows."""
INNER = 3
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker.

    Scores are deviations from the training rows' mean level (0 = as severe as the average), so that scores of rankers
    that were fitted on other rows can stand side by side. A score is the sum of its contributions.

    Attributes:
        encoder: of features.
        weights: of the encoder's columns.
        centre: means of the encoder's columns over the training rows.
        alpha: the penalty chosen.
    """

    encoder: Encoder
    weights: Values
    centre: Values
    alpha: float

    def scores(self, features: Features, rows: Rows) -> Values:
        """Shape (rows,); larger is more severe."""
        found: Values = self.encoder.transform(features, rows) @ self.weights - self.centre @ self.weights
        return found

    def contributions(self, features: Features, row: int) -> list[tuple[Block, str, float]]:
        """What each feature adds to the score of one row, the largest in size first."""
        values = self.encoder.transform(features, np.array([row])).toarray()[0]
        parts = (values - self.centre) * self.weights
        present = np.flatnonzero(np.abs(parts) > 1e-9)
        order = present[np.argsort(-np.abs(parts[present]), kind="stable")]
        return [(*self.encoder.names[k], float(parts[k])) for k in order]


def fit(
    features: Features, levels: Rows, groups: Rows, rows: Rows, streams: Streams, blocks: tuple[Block, ...] = ALL
) -> Ranker:
    """Ridge regression of the level on all blocks, with the penalty that predicts left-out groups of the rows best.

    Args:
        levels: shape (features,), the labels; those of ``rows`` must be known.
        groups: shape (features,), as of `rows.groups`.
        rows: the training rows.
    """
    losses = np.zeros(len(ALPHAS))
    for fold in grouped(groups[rows], streams.numpy("inner-folds"), INNER):
        if not len(fold.train):
            continue
        train, test = rows[fold.train], rows[fold.test]
        encoder = Encoder(blocks).fit(features, train)
        x, y, held = encoder.transform(features, train), levels[train], encoder.transform(features, test)
        for place, alpha in enumerate(ALPHAS):
            ranker = _solve(encoder, x, y, alpha)
            predicted = held @ ranker.weights - ranker.centre @ ranker.weights + y.mean()
            losses[place] += float(np.square(predicted - levels[test]).sum())
    encoder = Encoder(blocks).fit(features, rows)
    return _solve(encoder, encoder.transform(features, rows), levels[rows], ALPHAS[int(np.argmin(losses))])


def _solve(encoder: Encoder, x: sparse.csr_matrix, y: Rows, alpha: float) -> Ranker:
    centre = np.asarray(x.mean(axis=0)).ravel()
    if x.shape[1] == 0:
        return Ranker(encoder, np.zeros(0), centre, alpha)
    model = Ridge(alpha=alpha, solver="sparse_cg", tol=1e-8, max_iter=2000)
    return Ranker(encoder, model.fit(x, y - y.mean()).coef_.ravel(), centre, alpha)


@dataclass(frozen=True)
class HeldOut:
    """Scores of rows by rankers that saw neither them nor anything of their groups.

    Attributes:
        scores: shape (rows,), in the order of the rows given.
        rankers: one for each fold.
        fold_of: shape (rows,), which ranker scored the row.
    """

    scores: Values
    rankers: tuple[Ranker, ...]
    fold_of: Rows


def held_out(
    features: Features,
    levels: Rows,
    groups: Rows,
    rows: Rows,
    streams: Streams,
    blocks: tuple[Block, ...] = ALL,
    folds: int = FOLDS,
) -> HeldOut:
    """Out-of-fold scores of labelled rows, by grouped folds; arguments as of `fit`."""
    scores, fold_of = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    rankers = []
    for number, fold in enumerate(grouped(groups[rows], streams.numpy("outer-folds"), folds)):
        inner = streams.child(f"fold-{number}")
        ranker = fit(features, levels, groups, rows[fold.train], inner, blocks)
        scores[fold.test] = ranker.scores(features, rows[fold.test])
        fold_of[fold.test] = number
        rankers.append(ranker)
    return HeldOut(scores, tuple(rankers), fold_of)
