"""The likeliest secret of digits behind a prompt, by a beam over texts that a service scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.service import Service
from threatloop.data.canaries import DIGITS
from threatloop.modality.beginnings import gone_on
from threatloop.modality.conversation import read, write

BATCH = 256
AT_ONCE = 32
"""Canaries whose secrets are searched for side by side."""
NUMERALS = "0123456789"


def searched(
    service: Service, prompts: Dataset, beam: int, rng: np.random.Generator, keep: Callable[[Dataset], None]
) -> Dataset:
    """Each prompt with the likeliest secret that the beam finds, in the order in which they were asked; ids stay.

    A canary whose search the budget ends is left out.

    Args:
        service: needs scores; charged `cost` times per canary.
        prompts: n text records, each a canary without its secret.
        beam: beginnings that are followed at a time.
        rng: draws the order.
        keep: called with the records so far.

    Raises:
        BudgetExhausted: the budget ends before the last prompt.
    """
    order, found = rng.permutation(len(prompts)), list[Dataset]()
    while len(order):
        left = service.ledger.left
        size = AT_ONCE if left is None else max(1, min(AT_ONCE, left // cost(beam)))
        rows, order = order[:size], order[size:]
        part = prompts.take(rows)
        found.append(_put(part, np.arange(len(part)), _likeliest(service, part, beam)))
        keep(concatenate(found))
    return concatenate(found)


def cost(beam: int) -> int:
    """Texts that are scored to find one secret."""
    return sum(len(NUMERALS) * min(beam, len(NUMERALS) ** digit) for digit in range(DIGITS))


def _likeliest(service: Service, prompts: Dataset, beam: int) -> list[str]:
    """The secrets; every step scores ten continuations of each beginning of each."""
    followed: list[list[str]] = [[""] for _ in range(len(prompts))]
    for _ in range(DIGITS):
        tried = [[start + digit for start in starts for digit in NUMERALS] for starts in followed]
        owners = np.repeat(np.arange(len(prompts)), [len(one) for one in tried])
        scores = _likelihood(service, _put(prompts, owners, [text for one in tried for text in one]))
        best = [np.argsort(-scores[owners == i], kind="stable")[:beam] for i in range(len(prompts))]
        followed = [[one[place] for place in places] for one, places in zip(tried, best, strict=True)]
    return [one[0] for one in followed]


def _likelihood(service: Service, texts: Dataset) -> npt.NDArray[np.float64]:
    """Log-likelihood of what counts in each text, float64 (n,); of a conversation without the token that ends it."""
    closed = np.array([not isinstance(record, str) for record in read(texts.x)])
    parts = list[npt.NDArray[np.float64]]()
    for start in range(0, len(texts), BATCH):
        part = texts.take(slice(start, start + BATCH))
        tokens = modality.of(part.schema).token_scores(service.log_probs(part.x), part)[..., 0]
        last, ended = np.sum(~np.isnan(tokens), axis=1) - 1, closed[start : start + BATCH]
        tokens[np.flatnonzero(ended), last[ended]] = np.nan
        parts.append(np.asarray(np.nansum(tokens, axis=1)))
    return np.concatenate(parts)


def _put(prompts: Dataset, owners: npt.NDArray[np.int64], secrets: Sequence[str]) -> Dataset:
    """The prompts of these places with these secrets; a document's prompt ends before a space."""
    records, width = read(prompts.x), prompts.x.shape[1]
    whole = [
        gone_on(records[owner], f" {secret}" if isinstance(records[owner], str) else secret, width)
        for owner, secret in zip(owners.tolist(), secrets, strict=True)
    ]
    return prompts.take(owners).with_x(write(whole, width))
