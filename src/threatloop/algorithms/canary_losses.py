"""How likely a service finds every canary's secret, and other canaries' secrets in its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.data.canaries import exchanged, secrets_of

BATCH = 256
Rows = npt.NDArray[np.int64]


def pairs(n: int, references: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Places of canaries and of secrets to put into them: each canary's own first, then others; canaries in any order.

    Args:
        n: canaries.
        references: other secrets for each, at most.
        rng: draws both.
    """
    canary, secret = list[int](), list[int]()
    for place in rng.permutation(n):
        others = rng.permutation(n)
        chosen = [int(place), *(int(one) for one in others[others != place][:references])]
        canary += [int(place)] * len(chosen)
        secret += chosen
    return np.array(canary, np.int64), np.array(secret, np.int64)


def losses(
    service: Service, canaries: Dataset, references: int, rng: np.random.Generator, keep: Callable[[Evidence], None]
) -> Evidence:
    """Arrays of one length: ``canary`` and ``secret``, ids of the canaries from which both come, and ``loss``.

    The loss is the negative log-likelihood in nats of all that counts; what does not belong to the secret is the same
    for all secrets in one canary.

    Args:
        service: needs scores; charged once per pair.
        canaries: text records.
        references: other secrets for each, at most.
        rng: draws them and the order.
        keep: called after each batch with the evidence so far.

    Raises:
        BudgetExhausted: the budget ends before the last pair; it is used up to its last query.
        NotAssessable: there are no canaries.
    """
    if not len(canaries):
        raise NotAssessable("no canaries are planted in the training text; give the target `canaries:`")
    secrets, (canary, secret) = secrets_of(canaries), pairs(len(canaries), references, rng)
    found = np.empty(0, np.float64)
    while len(found) < len(canary):
        left, done = service.ledger.left, len(found)
        size = BATCH if left is None else max(1, min(BATCH, left))
        rows, put = canary[done : done + size], secret[done : done + size]
        tried = exchanged(canaries.take(rows), [secrets[i] for i in put])
        tokens = modality.of(tried.schema).token_scores(service.log_probs(tried.x), tried)
        found = np.concatenate([found, -np.nansum(tokens[..., 0], axis=1)])
        keep(_evidence(canaries, canary, secret, found))
    return _evidence(canaries, canary, secret, found)


def _evidence(canaries: Dataset, canary: Rows, secret: Rows, found: npt.NDArray[np.float64]) -> Evidence:
    n = len(found)
    return Evidence({"canary": canaries.ids[canary[:n]], "secret": canaries.ids[secret[:n]], "loss": found})
