"""A small transformer over bytes, for which no library is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from threatloop.models.gpt import GPT
from threatloop.models.language.codecs import ByteCodec
from threatloop.models.language.language import Language, LastNorm


class ByteLanguage(Language):
    """The architecture ``gpt``."""

    def __init__(self, network: GPT) -> None:
        self.codec = ByteCodec()
        self.network = network
        self.context, self.width = network.context, network.tokens.embedding_dim
        self.device = network.tokens.weight.device

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.hidden`."""
        return self.hidden_of(self.embed(ids))

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Language.project`."""
        logits: torch.Tensor = self.network.head(hidden)
        return logits

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """See `Language.embed`."""
        vectors: torch.Tensor = self.network.tokens(ids)
        return vectors

    def hidden_of(self, embedded: torch.Tensor, prefix: Sequence[int] = ()) -> torch.Tensor:
        """See `Language.hidden_of`."""
        ahead = self.embed(torch.tensor([list(prefix)], dtype=torch.int64, device=self.device))
        states = self.network.hidden(torch.cat([ahead.expand(len(embedded), -1, -1), embedded], 1))
        return states[:, len(prefix) :]

    def last_norm(self) -> LastNorm:
        """See `Language.last_norm`."""
        norm = self.network.norm
        return LastNorm(norm.weight.detach(), norm.bias.detach(), True)

    def learning(self) -> Mapping[str, nn.Parameter]:
        """All weights."""
        return dict(self.network.named_parameters())

    def train(self, on: bool = True) -> None:
        """See `Language.train`."""
        self.network.train(on).requires_grad_(on)
