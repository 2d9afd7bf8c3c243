"""Beginnings of texts, and what a service writes behind them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.modality.beginnings import begun, gone_on, rest_of
from threatloop.modality.conversation import read, write

BATCH = 64


def beginnings(data: Dataset, share: float) -> Dataset:
    """The records' beginnings, without records that have nothing behind it; ids stay."""
    records = read(data.x)
    rows = [i for i, record in enumerate(records) if rest_of(record, share)]
    kept = data.take(np.array(rows, np.int64))
    return kept.with_x(write([begun(records[i], share) for i in rows], data.x.shape[1]))


def continued(
    service: Service, prompts: Dataset, tokens: int, rng: np.random.Generator, keep: Callable[[Dataset], None]
) -> Dataset:
    """The prompts with what the likeliest tokens say behind them, in the order in which they were asked; ids stay.

    Asked in random order, so that those asked before a budget ends are a random sample.

    Args:
        service: needs text; charged once per prompt.
        prompts: n text records.
        tokens: written behind each at most.
        rng: draws the order.
        keep: called after each batch with the records so far.

    Raises:
        BudgetExhausted: the budget ends before the last prompt; it is used up to its last query.
        NotAssessable: there is no prompt.
    """
    if not len(prompts):
        raise NotAssessable("there is nothing to go on from")
    order, found = rng.permutation(len(prompts)), list[Dataset]()
    while len(order):
        left = service.ledger.left
        size = BATCH if left is None else max(1, min(BATCH, left))
        rows, order = order[:size], order[size:]
        part = prompts.take(rows)
        replies = service.replies(part.x, tokens)
        width = part.x.shape[1]
        whole = [gone_on(record, reply, width) for record, reply in zip(read(part.x), replies, strict=True)]
        found.append(part.with_x(write(whole, width)))
        keep(concatenate(found))
    return concatenate(found)


def afforded(prompts: Dataset, limit: int, rng: np.random.Generator) -> Dataset:
    """As many prompts as an attack asks about at most, so that its baseline completes the same."""
    return prompts.take(rng.permutation(len(prompts))[:limit])
