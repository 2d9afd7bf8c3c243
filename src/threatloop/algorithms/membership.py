"""Asking a service about candidates, in batches and in an order that a spent budget cannot bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.service import Service

Floats = npt.NDArray[np.float64]
Answers = npt.NDArray[np.float32]

BATCH = 256


def ask_signals(
    service: Service, candidates: Dataset, rng: np.random.Generator, keep: Callable[[Floats], None]
) -> Floats:
    """The membership signal of every candidate, float64 (n,), larger where the model fits the record better.

    Arguments and errors as in `ask_values`.
    """
    return ask_values(service, candidates, rng, keep, modality.of(candidates.schema).membership_signal)


def ask_values(
    service: Service,
    candidates: Dataset,
    rng: np.random.Generator,
    keep: Callable[[Floats], None],
    value: Callable[[Answers, Dataset], Floats],
    values: Floats | None = None,
) -> Floats:
    """What ``value`` makes of the answer on every candidate, float64 (n,) or (n, features).

    Asked in random order, so that the records asked before a budget ends are a random sample.

    Args:
        service: needs scores; charged once per candidate.
        candidates: n records with the labels that membership is asked about.
        rng: draws the order.
        keep: called after each batch with the values so far, NaN where not asked yet.
        value: of answers and the records that they are on, one row per record.
        values: filled in place of a new array.

    Raises:
        BudgetExhausted: the budget ends before the last candidate; it is used up to its last query.
    """
    order = rng.permutation(len(candidates))
    while len(order):
        left = service.ledger.left
        size = BATCH if left is None else max(1, min(BATCH, left))
        rows, order = order[:size], order[size:]
        asked = candidates.take(rows)
        found = value(service.log_probs(asked.x), asked)
        values = np.full((len(candidates), *found.shape[1:]), np.nan) if values is None else values
        values[rows] = found
        keep(values.copy())
    return np.full(0, np.nan) if values is None else values
