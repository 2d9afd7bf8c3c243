"""Membership scores of texts from the scores of their tokens; larger is more member-like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable

Floats = npt.NDArray[np.float64]
Score = Literal["loss", "zlib", "min_k", "min_k_plus_plus"]
LEAST_DEVIATION = 1e-6
"""Of a log-probability over the vocabulary, where a model is certain."""


def value_of(score: Score, share: float) -> Callable[[npt.NDArray[np.float32], Dataset], Floats]:
    """What makes one score of the answers on records (n, width, 3) and these records; float64 (n,)."""

    def value(log_probs: npt.NDArray[np.float32], data: Dataset) -> Floats:
        kind = modality.of(data.schema)
        tokens = kind.token_scores(log_probs, data)
        if score == "min_k":
            return least_likely(tokens[..., 0], share)
        if score == "min_k_plus_plus":
            if np.isnan(tokens[..., 1][~np.isnan(tokens[..., 0])]).any():
                raise NotAssessable(
                    "Min-K%++ needs mean and deviation over the vocabulary, and the service shows log-probabilities of "
                    "each text's own tokens alone; take score: min_k"
                )
            return least_likely((tokens[..., 0] - tokens[..., 1]) / np.maximum(tokens[..., 2], LEAST_DEVIATION), share)
        mean = np.asarray(np.nanmean(tokens[..., 0], axis=1))
        return mean if score == "loss" else np.asarray(mean / kind.compressed(data))

    return value


def least_likely(scores: Floats, share: float) -> Floats:
    """The mean of the lowest ``share`` of each row, of one number at least; float64 (n,).

    Args:
        scores: (n, width), NaN where there is no token; no row is empty.
        share: in (0, 1]; of m numbers, the integer part of share · m is taken.
    """
    counts = np.sum(~np.isnan(scores), axis=1)
    # A tiny amount more, or .2 of 5 would be 0 where floating point falls short of 1.
    kept = np.maximum(1, np.floor(share * counts + 1e-9)).astype(np.int64)
    ordered = np.nan_to_num(np.sort(scores, axis=1))
    taken = np.arange(scores.shape[1]) < kept[:, None]
    return np.asarray(np.where(taken, ordered, 0.0).sum(axis=1) / kept)
