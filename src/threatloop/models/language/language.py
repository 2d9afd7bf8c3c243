"""A language model as everything here sees it: tokens to hidden states, hidden states to logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.models.device import bfloat16_is_fast
from threatloop.models.language.codecs import Codec, padded

WIDE = 256
"""Numbers of a hidden state from which rounding saves anything."""


@dataclass
class Reading:
    """A batch of texts that a model is in the middle of.

    Attributes:
        rows: the ids of each so far.
        memory: what the model keeps of them, or None.
        mask: of the positions that hold tokens, for models that need it, or None.
    """

    rows: list[list[int]]
    memory: Any = None
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class LastNorm:
    """What a state goes through before the output layer: gain · u + shift, with u on a sphere of radius √width.

    Attributes:
        gain: (width,).
        shift: (width,).
        centred: u sums to 0, as behind a LayerNorm; not behind an RMSNorm.
    """

    gain: torch.Tensor
    shift: torch.Tensor
    centred: bool

    def into(self, projection: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What an output layer (vocabulary, width) makes of u itself, gain and all: float64, the same shape."""
        gained = np.asarray(projection * self.gain.cpu().double().numpy(), np.float64)
        return gained - gained.mean(axis=1, keepdims=True) if self.centred else gained

    @classmethod
    def of(cls, norm: nn.Module, width: int) -> LastNorm | None:
        """What this LayerNorm or RMSNorm does, by what it makes of two vectors; None where it is neither."""
        device = next((p.device for p in norm.parameters()), torch.device("cpu"))
        one = torch.linspace(1, 3, width, device=device) * (-1) ** torch.arange(width, device=device)
        with torch.no_grad():
            there, back, beside = norm(one), norm(-one), norm(one + 1)
            shift = (there + back) / 2
            centred = bool(torch.allclose(there, beside, rtol=1e-4, atol=1e-4))
            plain = one - one.mean() if centred else one
            gain = (there - shift) / (plain / plain.square().mean().sqrt())
            other = (one + 1) - ((one + 1).mean() if centred else 0)
            again = gain * other / other.square().mean().sqrt() + shift
        return cls(gain, shift, centred) if torch.allclose(beside, again, rtol=1e-3, atol=1e-3) else None


class Language(ABC):
    """One language model, ready to read.

    Attributes:
        codec: what cuts text into tokens.
        context: tokens that it reads at most.
        width: numbers of a hidden state.
        device: where it runs.
    """

    codec: Codec
    context: int
    width: int
    device: torch.device

    @property
    def rounds(self) -> bool:
        """Whether reading in bfloat16 is faster: many numbers, and a processor that multiplies them in hardware."""
        return self.width >= WIDE and bfloat16_is_fast(self.device.type)

    def rounded(self) -> torch.autocast:
        """Read in bfloat16 in here where that is faster: for numbers that only choose what is then read exactly."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.rounds)

    @abstractmethod
    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """The state behind every position, (n, t, width), of ids (n, t) that are padded on the right if at all."""

    @abstractmethod
    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """States (..., width) to the logits of the next token (..., vocabulary)."""

    @abstractmethod
    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors (n, t, width) that stand for ids; `hidden_of` goes on from there."""

    @abstractmethod
    def hidden_of(self, embedded: torch.Tensor, prefix: Sequence[int] = ()) -> torch.Tensor:
        """As `hidden`, from vectors (n, t, width), through which gradients flow; each as if behind ``prefix``."""

    @abstractmethod
    def learning(self) -> Mapping[str, nn.Parameter]:
        """The weights that a training may change, by name."""

    @abstractmethod
    def train(self, on: bool = True) -> None:
        """Make the weights learnable, or freeze them."""

    def last_norm(self) -> LastNorm | None:
        """The norm in front of the output layer; None where it is not known."""
        return None

    def behind(self, prefix: Sequence[int], ids: torch.Tensor) -> torch.Tensor:
        """States (n, t, width) of ids (n, t), padded on the right if at all, each row read as if behind ``prefix``.

        For many continuations of one text. No gradient flows. A model that can, reads the prefix once.
        """
        with torch.no_grad():
            before = torch.tensor([list(prefix)], dtype=torch.int64, device=self.device)
            whole = torch.cat([before.expand(len(ids), -1), ids.to(self.device)], 1)
            return self.hidden(whole)[:, len(prefix) :]

    def counted(self, charge: Callable[[int], None]) -> Language:
        """The same language, which says of how many texts it is about to read."""
        from threatloop.models.language.counted import Counted

        return Counted(self, charge)

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Reading, torch.Tensor]:
        """Read prompts; the batch, and the logits (n, vocabulary) of what comes next."""
        reading = Reading([list(prompt) for prompt in prompts])
        return reading, self._last(reading)

    def go_on(self, reading: Reading, following: Sequence[int]) -> torch.Tensor:
        """Append one token to each text; the logits (n, vocabulary) of what comes next."""
        for row, one in zip(reading.rows, following, strict=True):
            row.append(int(one))
        return self._last(reading)

    def _last(self, reading: Reading) -> torch.Tensor:
        ids = padded(reading.rows, self.codec.pad).to(self.device)
        last = torch.tensor([len(row) - 1 for row in reading.rows], device=self.device)
        return self.project(self.hidden(ids)[torch.arange(len(last), device=self.device), last]).float()


def projection_of(language: Language) -> npt.NDArray[np.float32]:
    """The matrix of the output layer less its mean over the vocabulary, float32 (vocabulary, width).

    That is all of it that log-probabilities can show.
    """
    with torch.inference_mode():
        units = torch.eye(language.width, device=language.device)
        rows = language.project(units).float()
        rows -= language.project(torch.zeros_like(units[:1])).float()
        rows -= rows.mean(dim=1, keepdim=True)
    return np.asarray(rows.T.cpu().numpy())
