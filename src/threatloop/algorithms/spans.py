"""Passages of texts written anew by a language model, so that what follows still fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.rewriting import Draft
from threatloop.algorithms.spoken import Spoken
from threatloop.models.language.codecs import Tokens
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import token_scores
from threatloop.models.language.writing import Style, continued

FOLLOWING = 16
"""Tokens behind a passage that it must fit."""
LIKELIEST = 40
"""Tokens that a passage may be drawn from at every place."""

Span = tuple[int, int]


def rewrite(
    drafts: Sequence[Draft], language: Language, share: float, length: int, candidates: int, rng: np.random.Generator
) -> None:
    """Write this share of every draft's passages anew, in place, from left to right.

    Those go first that surprise the author most: there a mark has decided, and there is most to be had in likelihood.

    Args:
        drafts: texts.
        language: the author.
        share: of passages, in (0, 1]; one at least.
        length: tokens of a passage, ≥ 1.
        candidates: proposals for each, of which the likeliest with what follows is taken, ≥ 1.
        rng: what is drawn.
    """
    tokens = [Tokens(tuple(one.ids), tuple(map(bool, one.free))) for one in drafts]
    scores = token_scores(language, tokens, max((len(one.ids) for one in drafts), default=0))[..., 0]
    plans = [_chosen(one, score, share, length) for one, score in zip(drafts, scores, strict=True)]
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    style = Style(length, 1.0, LIKELIEST, Spoken(language.codec))
    for step in range(max(map(len, plans), default=0)):
        now = [(draft, plan[step]) for draft, plan in zip(drafts, plans, strict=True) if step < len(plan)]
        _step(now, language, style, candidates, generator)


def _chosen(draft: Draft, log_probs: npt.NDArray[np.float32], share: float, length: int) -> list[Span]:
    """Passages of free tokens, in order; ``log_probs`` are those of the free tokens."""
    places = np.flatnonzero(draft.free)
    if not len(places):
        return []
    loss, end = np.zeros(len(draft.ids)), int(places[-1]) + 1
    loss[places] = -log_probs[: len(places)]
    whole = [(a, min(a + length, end)) for a in range(int(places[0]), end, length)]
    whole = [(a, b) for a, b in whole if draft.free[a:b].all()]
    surprise = np.array([loss[a:b].mean() for a, b in whole])
    count = min(len(whole), max(1, round(share * len(whole))))
    return [whole[i] for i in np.sort(np.argsort(-surprise, kind="stable")[:count])]


def _step(
    now: Sequence[tuple[Draft, Span]], language: Language, style: Style, candidates: int, generator: torch.Generator
) -> None:
    """One passage of each of these drafts."""
    prompts = [draft.ids[:a] for draft, (a, _) in now for _ in range(candidates)]
    proposed = continued(language, prompts, style, generator)
    rivals, places = list[Tokens](), list[int]()
    for i, ids in enumerate(proposed):
        draft, (a, b) = now[i // candidates]
        if len(ids) >= b - a and ids[: b - a] != draft.ids[a:b]:
            whole = [*draft.ids[:a], *ids[: b - a], *draft.ids[b : b + FOLLOWING]]
            rivals.append(Tokens(tuple(whole), tuple(a <= place for place in range(len(whole)))))
            places.append(i)
    if not rivals:
        return
    scores = np.nansum(token_scores(language, rivals, max(len(one.ids) for one in rivals))[..., 0], axis=1)
    best = dict[int, tuple[float, int]]()
    for score, i in zip(scores, places, strict=True):
        best[i // candidates] = max(best.get(i // candidates, (-np.inf, i)), (float(score), i))
    for number, (_, i) in best.items():
        draft, (a, b) = now[number]
        draft.ids[a:b] = proposed[i][: b - a]
