"""Asking a service about pairs of answers: how much more it makes of the preferred one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from threatloop import modality
from threatloop.algorithms.membership import BATCH, Answers, Floats
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.service import Service

Signal = Callable[[Answers, Dataset], Floats]


def log_likelihoods(log_probs: Answers, data: Dataset) -> Floats:
    """The log-probability of what is said in each record, summed over its tokens, float64 (n,)."""
    return np.asarray(np.nansum(modality.of(data.schema).token_scores(log_probs, data)[..., 0], axis=1))


def ask_margins(
    service: Service, candidates: Dataset, rng: np.random.Generator, keep: Callable[[Floats], None], signal: Signal
) -> Floats:
    """What ``signal`` makes of every preferred answer minus what it makes of the other, float64 (n,).

    Asked in random order, both answers of a pair at once, so that the pairs asked before a budget ends are a random
    sample.

    Args:
        service: needs scores; charged twice per candidate.
        candidates: n pairs.
        rng: draws the order.
        keep: called after each batch with the values so far, NaN where not asked yet.
        signal: of answers and the records that they are on, float64 (m,).

    Raises:
        BudgetExhausted: the budget ends before the last candidate.
        NotAssessable: a candidate is no pair.
    """
    exchanged = candidates.with_x(modality.of(candidates.schema).exchanged(candidates.x, candidates.schema))
    found, order = np.full(len(candidates), np.nan), rng.permutation(len(candidates))
    while len(order):
        left = service.ledger.left
        size = BATCH // 2 if left is None else max(1, min(BATCH, left) // 2)
        rows, order = order[:size], order[size:]
        both = concatenate([candidates.take(rows), exchanged.take(rows)])
        preferred, other = signal(service.log_probs(both.x), both).reshape(2, len(rows))
        found[rows] = preferred - other
        keep(found.copy())
    return found
