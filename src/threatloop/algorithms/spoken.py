"""Tokens that are text by themselves: what a writer may use whose words are read again later."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from threatloop.models.language.codecs import Codec
from threatloop.models.language.writing import Rows

LOST = "\ufffd"
"""What stands for bytes that are no text."""


def spoken(codec: Codec) -> torch.Tensor:
    """Which tokens are printable text or line feeds, bool (vocabulary,)."""
    texts = (codec.text([one]) for one in range(codec.size))
    return torch.tensor([bool(t) and LOST not in t and all(c.isprintable() or c == "\n" for c in t) for t in texts])


class Spoken:
    """A change of logits that leaves only such tokens, and those that are named besides."""

    def __init__(self, codec: Codec, besides: Iterable[int] = ()) -> None:
        self._allowed = spoken(codec)
        self._allowed[list(besides)] = True

    def __call__(self, rows: Rows, logits: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return logits.masked_fill(~self._allowed.to(logits.device), -torch.inf)
