"""Asking a service about candidates, in batches and in an order that a spent budget cannot bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.service import Service

Floats = npt.NDArray[np.float64]

BATCH = 256


def ask_signals(
    service: Service, candidates: Dataset, rng: np.random.Generator, keep: Callable[[Floats], None]
) -> Floats:
    """The membership signal of every candidate, float64 (n,), larger where the model fits the record better.

    Asked in random order, so that the records asked before a budget ends are a random sample.

    Args:
        service: needs scores; charged once per candidate.
        candidates: n records with the labels that membership is asked about.
        rng: draws the order.
        keep: called after each batch with the signals so far, NaN where not asked yet.

    Raises:
        BudgetExhausted: the budget ends before the last candidate; it is used up to its last query.
    """
    kind = modality.of(candidates.schema)
    signals = np.full(len(candidates), np.nan)
    order = rng.permutation(len(candidates))
    while len(order):
        left = service.ledger.left
        size = BATCH if left is None else max(1, min(BATCH, left))
        rows, order = order[:size], order[size:]
        asked = candidates.take(rows)
        signals[rows] = kind.membership_signal(service.log_probs(asked.x), asked)
        keep(signals.copy())
    return signals
