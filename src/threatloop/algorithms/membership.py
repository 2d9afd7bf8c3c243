"""Asking a service about candidates, in batches and in an order that a spent budget cannot bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.service import Service

Floats = npt.NDArray[np.float64]
Answers = npt.NDArray[np.float32]

BATCH = 256


def mean_answers(ask: Callable[[npt.NDArray[Any]], Answers], x: npt.NDArray[Any], times: int) -> Answers:
    """Log-probabilities of the records, means of ``times`` answers each: what a server draws at random cancels."""
    if times == 1:
        return ask(x)
    total = np.asarray(ask(x), dtype=np.float64)
    for _ in range(times - 1):
        total = total + ask(x)
    total /= times
    if total.ndim > 2:
        # Scores of tokens, which are means as they are.
        return np.asarray(total, dtype=np.float32)
    peak = total.max(axis=-1, keepdims=True)
    total -= peak + np.log(np.exp(total - peak).sum(axis=-1, keepdims=True))
    return np.asarray(total, dtype=np.float32)


def ask_signals(
    service: Service,
    candidates: Dataset,
    rng: np.random.Generator,
    keep: Callable[[Floats], None],
    expectation: int = 1,
) -> Floats:
    """The membership signal of every candidate, float64 (n,), larger where the model fits the record better.

    Arguments and errors as in `ask_values`.
    """
    value = modality.of(candidates.schema).membership_signal
    return ask_values(service, candidates, rng, keep, value, expectation=expectation)


def ask_values(
    service: Service,
    candidates: Dataset,
    rng: np.random.Generator,
    keep: Callable[[Floats], None],
    value: Callable[[Answers, Dataset], Floats],
    values: Floats | None = None,
    *,
    expectation: int = 1,
) -> Floats:
    """What ``value`` makes of the answer on every candidate, float64 (n,) or (n, features).

    Asked in random order, so that the records asked before a budget ends are a random sample.

    Args:
        service: needs scores; charged ``expectation`` times per candidate.
        candidates: n records with the labels that membership is asked about.
        rng: draws the order.
        keep: called after each batch with the values so far, NaN where not asked yet.
        value: of answers and the records that they are on, one row per record.
        values: filled in place of a new array.
        expectation: answers averaged per candidate; fewer for the last one that a budget allows.

    Raises:
        BudgetExhausted: the budget ends before the last candidate; it is used up to its last query.
    """
    order = rng.permutation(len(candidates))
    while len(order):
        left = service.ledger.left
        size = BATCH if left is None else max(1, min(BATCH, left // expectation))
        times = expectation if left is None else max(1, min(expectation, left // size))
        rows, order = order[:size], order[size:]
        asked = candidates.take(rows)
        found = value(mean_answers(service.log_probs, asked.x, times), asked)
        values = np.full((len(candidates), *found.shape[1:]), np.nan) if values is None else values
        values[rows] = found
        keep(values.copy())
    return np.full(0, np.nan) if values is None else values
