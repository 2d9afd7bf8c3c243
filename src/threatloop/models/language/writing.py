"""A language model goes on with texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from threatloop.core.errors import InputError
from threatloop.models.language.language import Language

TEXTS_AT_ONCE = 48
"""Each step reads all weights once, however many texts go on."""

Rows = Sequence[Sequence[int]]
"""Ids of each text so far."""
Change = Callable[[Rows, torch.Tensor], torch.Tensor]
"""Ids of each text so far and the logits (n, vocabulary) of what comes next, to other logits."""


@dataclass(frozen=True)
class Style:
    """How to go on.

    Attributes:
        tokens: to be written at most, ≥ 1.
        temperature: 0 takes the likeliest token each time; above it tokens are drawn.
        top: likeliest tokens that may be drawn; 0 for all.
        change: of the logits at every step, such as a bias or a watermark.
    """

    tokens: int
    temperature: float = 0.0
    top: int = 0
    change: Change | None = None


def continued(
    language: Language, prompts: Sequence[Sequence[int]], style: Style, generator: torch.Generator | None = None
) -> list[list[int]]:
    """What the model writes behind each prompt, as ids without the one that ends it.

    Raises:
        InputError: a prompt is empty, or leaves no room in the model's context.
    """
    check_prompts(language, prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        for start in range(0, len(order), TEXTS_AT_ONCE):
            rows = order[start : start + TEXTS_AT_ONCE]
            for row, ids in zip(rows, _batch(language, [prompts[i] for i in rows], style, generator), strict=True):
                found[row] = ids
    return found


def check_prompts(language: Language, prompts: Sequence[Sequence[int]]) -> None:
    """Refuse prompts that a model cannot go on from.

    Raises:
        InputError: a prompt is empty, or leaves no room in the model's context.
    """
    for place, prompt in enumerate(prompts):
        if not 0 < len(prompt) < language.context:
            raise InputError(
                f"prompt {place} has {len(prompt)} tokens; the model goes on from 1 to {language.context - 1}"
            )


def _batch(
    language: Language, prompts: Sequence[Sequence[int]], style: Style, generator: torch.Generator | None
) -> list[list[int]]:
    reading, logits = language.begin(prompts)
    written: list[list[int]] = [[] for _ in prompts]
    open_rows = [True] * len(prompts)
    room = min(style.tokens, language.context - max(map(len, prompts)))
    for step in range(room):
        chosen = _chosen(logits if style.change is None else style.change(reading.rows, logits), style, generator)
        for row, one in enumerate(chosen):
            open_rows[row] = open_rows[row] and one not in language.codec.ends
            if open_rows[row]:
                written[row].append(one)
        if not any(open_rows) or step + 1 == room:
            break
        logits = language.go_on(reading, chosen)
    return written


def _chosen(logits: torch.Tensor, style: Style, generator: torch.Generator | None) -> list[int]:
    if style.temperature == 0:
        return [int(one) for one in logits.argmax(dim=1)]
    if style.top:
        floor = logits.topk(min(style.top, logits.shape[1]), dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < floor, -torch.inf)
    shares = torch.softmax(logits / style.temperature, 1).cpu()
    return [int(one) for one in torch.multinomial(shares, 1, generator=generator)[:, 0]]
