"""The likeliest secret of digits behind a prompt, by a beam over texts that a service scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.service import Service
from threatloop.data.canaries import DIGITS
from threatloop.modality.beginnings import gone_on
from threatloop.modality.conversation import Record, read, write

BATCH = 256
NUMERALS = "0123456789"


def searched(
    service: Service, prompts: Dataset, beam: int, rng: np.random.Generator, keep: Callable[[Dataset], None]
) -> Dataset:
    """Each prompt with the likeliest secret that the beam finds, in the order in which they were asked; ids stay.

    A canary whose search the budget ends is left out; the budget is used up to less than one step of a search.

    Args:
        service: needs scores.
        prompts: n text records, each a canary without its secret.
        beam: beginnings that are followed at a time.
        rng: draws the order.
        keep: called after each canary with the records so far.

    Raises:
        BudgetExhausted: the budget ends before the last prompt.
    """
    found = list[Dataset]()
    for row in rng.permutation(len(prompts)):
        one = prompts.take(slice(int(row), int(row) + 1))
        secret = _likeliest(service, read(one.x)[0], one, beam)
        found.append(_with(one, [secret]))
        keep(concatenate(found))
    return concatenate(found)


def _likeliest(service: Service, prompt: Record, one: Dataset, beam: int) -> str:
    """The secret; every step scores ten continuations of each beginning."""
    followed = [""]
    for _ in range(DIGITS):
        tried = [start + digit for start in followed for digit in NUMERALS]
        scores = likelihood(service, _with(one, tried), isinstance(prompt, str))
        best = np.argsort(-scores, kind="stable")[:beam]
        followed = [tried[i] for i in best]
    return followed[0]


def likelihood(service: Service, texts: Dataset, documents: bool) -> npt.NDArray[np.float64]:
    """Log-likelihood of what counts in each text, float64 (n,); of a conversation without the token that ends it."""
    parts = list[npt.NDArray[np.float64]]()
    for start in range(0, len(texts), BATCH):
        part = texts.take(slice(start, start + BATCH))
        tokens = modality.of(part.schema).token_scores(service.log_probs(part.x), part)[..., 0]
        if not documents:
            last = np.sum(~np.isnan(tokens), axis=1) - 1
            tokens[np.arange(len(part)), last] = np.nan
        parts.append(np.asarray(np.nansum(tokens, axis=1)))
    return np.concatenate(parts)


def _with(one: Dataset, secrets: list[str]) -> Dataset:
    prompt, width = read(one.x)[0], one.x.shape[1]
    # A document's prompt ends before the space.
    lead = " " if isinstance(prompt, str) else ""
    whole = [gone_on(prompt, lead + secret, width) for secret in secrets]
    return one.take(np.zeros(len(secrets), np.int64)).with_x(write(whole, width))
