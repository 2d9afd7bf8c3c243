"""Single tokens of texts swapped for what a language model would rather have written there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.rewriting import Draft
from threatloop.algorithms.spoken import spoken
from threatloop.models.language.codecs import Tokens
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import batches, token_scores, wanted_logits

ROUNDS = 3
"""In which swaps are made, so that later ones know of those before."""
TOKENS_AT_ONCE = 512
"""Of a batch, whose logits are all kept."""
FOLLOWING = 8
"""Tokens behind a swap that it must fit."""


@dataclass(frozen=True)
class Proposals:
    """What could stand in a draft.

    Attributes:
        gains: float64 (t,), by how much the best alternative beats the token; −inf where none may stand.
        ids: int64 (t, candidates), alternatives, the best first.
    """

    gains: npt.NDArray[np.float64]
    ids: npt.NDArray[np.int64]


def swap(drafts: Sequence[Draft], language: Language, share: float, candidates: int) -> float:
    """Swap this share of every draft's free tokens, in place; returns the share that was swapped.

    First those whose likeliest alternative beats the token itself by most, given what stands before; no two neighbours
    in one round. Of ``candidates`` alternatives the one is taken that is likeliest together with what follows.
    """
    allowed = spoken(language.codec).to(language.device)
    done = [np.zeros(len(one.ids), np.bool_) for one in drafts]
    wanted = [math.ceil(share * one.free.sum()) for one in drafts]
    for left in range(ROUNDS, 0, -1):
        rows = [row for row, one in enumerate(drafts) if done[row].sum() < wanted[row]]
        places = list[tuple[int, int, npt.NDArray[np.int64]]]()
        for row, found in zip(
            rows, _proposals([drafts[row] for row in rows], language, allowed, candidates), strict=True
        ):
            gains = np.where(done[row], -np.inf, found.gains)
            most = math.ceil((wanted[row] - done[row].sum()) / left)
            places += [(row, place, found.ids[place]) for place in _apart(gains, most)]
        for (row, place, _), new in zip(places, _best(drafts, places, language), strict=True):
            drafts[row].ids[place], done[row][place] = new, True
    return float(sum(one.sum() for one in done)) / max(1, sum(int(one.free.sum()) for one in drafts))


def _proposals(drafts: Sequence[Draft], language: Language, allowed: torch.Tensor, candidates: int) -> list[Proposals]:
    """Alternatives for every token of every draft, from what stands before it."""
    candidates = min(candidates, max(1, int(allowed.sum()) - 1))
    found = [Proposals(np.full(len(d.ids), -np.inf), np.zeros((len(d.ids), candidates), np.int64)) for d in drafts]
    for rows in batches([len(draft.ids) for draft in drafts], TOKENS_AT_ONCE):
        tokens = [Tokens(tuple(drafts[row].ids), tuple(map(bool, drafts[row].free))) for row in rows]
        # Proposals need no exact numbers: what is swapped is judged by others.
        with torch.inference_mode(), language.rounded():
            logits, there, _ = wanted_logits(language, tokens)
            own = logits.gather(1, there[:, None])[:, 0]
            others = logits.masked_fill(~allowed, -torch.inf).scatter(1, there[:, None], -torch.inf)
            best = others.topk(candidates, dim=1)
            gains = torch.where(allowed[there], best.values[:, 0] - own, -torch.inf)
        at = 0
        for row in rows:
            free, end = drafts[row].free, at + int(drafts[row].free.sum())
            found[row].gains[free] = gains[at:end].cpu().numpy()
            found[row].ids[free] = best.indices[at:end].cpu().numpy()
            at = end
    return found


def _best(
    drafts: Sequence[Draft], places: Sequence[tuple[int, int, npt.NDArray[np.int64]]], language: Language
) -> list[int]:
    """For every place the alternative that is likeliest together with what follows it."""
    if not places or len(places[0][2]) == 1:
        return [int(ids[0]) for _, _, ids in places]
    rivals = [
        Tokens((*before, int(one), *behind), (*(False for _ in before), True, *(True for _ in behind)))
        for row, place, ids in places
        for before, behind in [(drafts[row].ids[:place], drafts[row].ids[place + 1 : place + 1 + FOLLOWING])]
        for one in ids
    ]
    scores = np.nansum(token_scores(language, rivals, FOLLOWING + 1)[..., 0], axis=1).reshape(len(places), -1)
    return [int(ids[choice]) for (_, _, ids), choice in zip(places, scores.argmax(axis=1), strict=True)]


def _apart(gains: npt.NDArray[np.float64], most: int) -> list[int]:
    """The places of the largest gains, of which no two are neighbours."""
    chosen = list[int]()
    for place in np.argsort(-gains, kind="stable"):
        if len(chosen) >= most or not np.isfinite(gains[place]):
            break
        if not {place - 1, place + 1} & set(chosen):
            chosen.append(int(place))
    return chosen
