"""A small decoder-only transformer for the text seam."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

LARGEST = 1_000_000
"""The most parameters that this architecture is meant for."""
SLOWEST = 10_000
"""Positions in which the slowest pair of numbers turns once, over 2π."""


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, both with normalisation in front."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self._attend(self.norm1(x))
        wide: torch.Tensor = self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))
        return x + wide

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        n, time, width = x.shape
        q, k, v = self.qkv(x).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(_turned(q), _turned(k), v, is_causal=True)
        answers: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(n, time, width))
        return answers


class GPT(nn.Module):
    """Decoder-only transformer (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", 2.3).

    Reads token ids int64 (n, context), answers logits (n, context, vocabulary) for the token after each position. What
    it makes of a token depends on how far others are away, not on where it stands: of few texts it learns far more so.

    Args:
        vocabulary: number of tokens.
        context: longest sequence.
        layers: blocks.
        heads: attention heads; twice as many divide ``width``.
        width: numbers per position.
    """

    def __init__(self, vocabulary: int, context: int, layers: int, heads: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.context = context
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.head(self.hidden(self.tokens(ids)))
        return answers

    def hidden(self, embedded: torch.Tensor) -> torch.Tensor:
        """The state behind every position, (n, t, width), of tokens' vectors (n, t, width)."""
        states: torch.Tensor = self.norm(self.blocks(embedded))
        return states


def _turned(x: torch.Tensor) -> torch.Tensor:
    """Queries or keys (..., t, d), each pair of numbers turned by its position times the pair's own angle.

    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv 2104.09864, section 3.2.
    """
    time, half = x.shape[-2], x.shape[-1] // 2
    speed = SLOWEST ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(time, device=x.device)[:, None] * speed
    cos, sin, one, other = angle.cos().to(x.dtype), angle.sin().to(x.dtype), x[..., :half], x[..., half:]
    return torch.cat([one * cos - other * sin, one * sin + other * cos], dim=-1)
