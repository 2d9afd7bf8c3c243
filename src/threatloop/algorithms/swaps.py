"""Single tokens of texts swapped for what a language model would rather have written there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.rewriting import Draft
from threatloop.algorithms.spoken import spoken
from threatloop.models.language.codecs import Tokens
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import batches, wanted_logits

ROUNDS = 3
"""In which swaps are made, so that later ones know of those before."""
TOKENS_AT_ONCE = 512
"""Of a batch, whose logits are all kept."""


def swap(drafts: Sequence[Draft], language: Language, share: float) -> float:
    """Swap this share of every draft's free tokens, in place; returns the share that was swapped.

    First those whose likeliest alternative beats the token itself by most, given what stands before; no two neighbours
    in one round.
    """
    allowed = spoken(language.codec).to(language.device)
    done = [np.zeros(len(one.ids), np.bool_) for one in drafts]
    wanted = [math.ceil(share * one.free.sum()) for one in drafts]
    for left in range(ROUNDS, 0, -1):
        open_rows = [row for row, one in enumerate(drafts) if done[row].sum() < wanted[row]]
        for rows in batches([len(drafts[row].ids) for row in open_rows], TOKENS_AT_ONCE):
            chosen = [open_rows[i] for i in rows]
            for row, (gains, best) in zip(
                chosen, _proposals([drafts[row] for row in chosen], language, allowed), strict=True
            ):
                gains[done[row]] = -np.inf
                most = math.ceil((wanted[row] - done[row].sum()) / left)
                for place in _apart(gains, most):
                    drafts[row].ids[place], done[row][place] = int(best[place]), True
    return float(sum(one.sum() for one in done)) / max(1, sum(int(one.free.sum()) for one in drafts))


def _proposals(
    drafts: Sequence[Draft], language: Language, allowed: torch.Tensor
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]:
    """For every token of every draft what the best alternative gains, −inf where there is none, and its id."""
    tokens = [Tokens(tuple(one.ids), tuple(map(bool, one.free))) for one in drafts]
    with torch.inference_mode():
        logits, there, _ = wanted_logits(language, tokens)
        own = logits.gather(1, there[:, None])[:, 0]
        others = logits.masked_fill(~allowed, -torch.inf).scatter(1, there[:, None], -torch.inf)
        best, ids = others.max(dim=1)
        gains = torch.where(allowed[there], best - own, -torch.inf)
    found, at = [], 0
    for one in drafts:
        gain, choice = np.full(len(one.ids), -np.inf), np.zeros(len(one.ids), np.int64)
        end = at + int(one.free.sum())
        gain[one.free], choice[one.free] = gains[at:end].cpu().numpy(), ids[at:end].cpu().numpy()
        found.append((gain, choice))
        at = end
    return found


def _apart(gains: npt.NDArray[np.float64], most: int) -> list[int]:
    """The places of the largest gains, of which no two are neighbours."""
    chosen = list[int]()
    for place in np.argsort(-gains, kind="stable"):
        if len(chosen) >= most or not np.isfinite(gains[place]):
            break
        if not {place - 1, place + 1} & set(chosen):
            chosen.append(int(place))
    return chosen
