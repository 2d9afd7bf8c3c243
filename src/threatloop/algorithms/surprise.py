"""How surprising prompts are, to a language model or by the bytes of other prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from threatloop.core.serving import Respond
from threatloop.modality.conversation import write
from threatloop.numerics.byte_model import ByteModel

Points = npt.NDArray[np.float64]
Losses = Callable[[Sequence[str]], list[Points]]
"""Texts to the loss of each of their tokens, in nats."""


def by_model(scores: Respond, width: int) -> Losses:
    """Losses of a model that reads texts as documents; those that are too long for a record, in pieces."""

    def losses(texts: Sequence[str]) -> list[Points]:
        pieces = [(row, piece) for row, text in enumerate(texts) for piece in _pieces(text, width)]
        found: list[list[Points]] = [[] for _ in texts]
        if pieces:
            told = scores(write([piece for _, piece in pieces], width))[..., 0]
            for (row, _), one in zip(pieces, told, strict=True):
                found[row].append(-one[~np.isnan(one)].astype(np.float64))
        return [np.concatenate(parts) if parts else np.zeros(0) for parts in found]

    return losses


def by_bytes(texts: Sequence[str]) -> Losses:
    """Losses under a model of the bytes of ``texts``."""
    model = ByteModel([text.encode() for text in texts])
    return lambda some: [-model.log_probs(text.encode()) for text in some]


def strangest(losses: Points, window: int) -> float:
    """The largest mean loss of so many tokens in a row; of all where there are fewer, or the window is 0."""
    if not len(losses):
        return 0.0
    if not 0 < window < len(losses):
        return float(losses.mean())
    sums = np.cumsum(np.concatenate([[0.0], losses]))
    return float((sums[window:] - sums[:-window]).max() / window)


def _pieces(text: str, width: int) -> list[str]:
    """Pieces of at most ``width`` bytes that a model can read."""
    raw = text.replace("\x1e", " ").replace("\0", " ").encode()
    parts = [raw[start : start + width].decode(errors="ignore") for start in range(0, len(raw), width)]
    return [part for part in parts if len(part.encode()) >= 2]
