"""What language models learn from, and gradients of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.method import Turns
from threatloop.models.language.codecs import Tokens
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import batches, pieces, wanted_states

TOKENS_AT_ONCE = 320
"""Whose activations are kept at a time; of a base model of 135M parameters each token takes 1.4 MB."""


@dataclass
class Sums:
    """Over the tokens of one epoch."""

    loss: float = 0.0
    right: int = 0
    count: int = 0


class Descent(Protocol):
    """Adds the gradient of a batch's mean loss to that of the weights."""

    def descend(self, rows: Sequence[int], sums: Sums) -> None: ...


@dataclass(frozen=True)
class Lessons:
    """What a language learns from.

    Attributes:
        language: that learns.
        tokens: of each record.
        smoothing: mass moved from a token to all others.
        following: see `threatloop.algorithms.tuning.tune`.
    """

    language: Language
    tokens: Sequence[Tokens]
    smoothing: float
    following: npt.NDArray[np.float32] | None = None

    def descend(self, rows: Sequence[int], sums: Sums) -> None:
        """Add the gradient of the mean loss over the tokens of these records, a few of like length at a time."""
        total = sum(sum(self.tokens[row].counted) for row in rows)
        if total == 0:
            return
        for part in batches([len(self.tokens[row].ids) for row in rows], TOKENS_AT_ONCE):
            self._descend([rows[i] for i in part], total, sums)

    def _descend(self, rows: Sequence[int], total: int, sums: Sums) -> None:
        """Back to the last states from a few logits at a time, which are wide, and then through the body once."""
        states, wanted, owners = wanted_states(self.language, [self.tokens[row] for row in rows])
        if len(states) == 0:
            return
        told = None if self.following is None else torch.from_numpy(self.following[list(rows)]).to(states.device)
        last = states.detach().requires_grad_()
        for piece in pieces(len(last), self.language):
            logits = self.language.project(last[piece]).float()
            loss = self._loss(logits, wanted[piece], None if told is None else told[owners[piece]], sums) / total
            loss.backward()  # type: ignore[no-untyped-call]
        states.backward(last.grad)  # type: ignore[no-untyped-call]

    def _loss(self, logits: torch.Tensor, wanted: torch.Tensor, told: torch.Tensor | None, sums: Sums) -> torch.Tensor:
        if told is None:
            return self.loss_of(logits, wanted, sums)
        hard = ~torch.isfinite(told[:, 0])
        targets = told[~hard]
        loss = F.cross_entropy(logits[~hard], targets, reduction="sum")
        sums.loss += float(loss.detach())
        sums.right += int((logits[~hard].detach().argmax(1) == targets.argmax(1)).sum())
        sums.count += len(targets)
        return loss + self.loss_of(logits[hard], wanted[hard], sums)

    def loss_of(self, logits: torch.Tensor, wanted: torch.Tensor, sums: Sums) -> torch.Tensor:
        """The sum of the losses of tokens, which are counted."""
        loss = F.cross_entropy(logits, wanted, reduction="sum", label_smoothing=self.smoothing)
        sums.loss += float(loss.detach())
        sums.right += int((logits.detach().argmax(1) == wanted).sum())
        sums.count += len(wanted)
        return loss


@dataclass(frozen=True)
class OwnTurns:
    """What a model learns from between its turns on offers.

    Attributes:
        lessons: own records.
        turns: how long.
        order: batches of them, without end.
    """

    lessons: Lessons
    turns: Turns
    order: Iterator[list[int]]


def again_and_again(n: int, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Batches of ``size``, or of all ``n`` where those are fewer, from one permutation after the other."""
    left = list[int]()
    while True:
        while len(left) < min(size, n):
            left += [int(one) for one in rng.permutation(n)]
        yield left[: min(size, n)]
        del left[: min(size, n)]


@dataclass(frozen=True)
class Private:
    """DP-SGD: each record's gradient, of its mean loss, is clipped before they are added up.

    Attributes:
        bound: to which a record's gradient is clipped.
        deviation: of the noise that is added to their sum.
        expected: records of a batch on average.
        generator: of the noise.
    """

    bound: float
    deviation: float
    expected: float
    generator: torch.Generator

    def descend(
        self, lessons: Descent, rows: Sequence[int], learning: Sequence[torch.nn.Parameter], sums: Sums
    ) -> None:
        """Fill the gradients with the noisy, clipped mean of one batch, which may be empty."""
        total = [torch.zeros_like(p) for p in learning]
        for row in rows:
            lessons.descend([row], sums)
            found = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
            norm = float(torch.stack([one.norm() for one in found]).norm())
            factor = min(1.0, self.bound / max(norm, 1e-12)) if math.isfinite(self.bound) else 1.0
            for part, one in zip(total, found, strict=True):
                part += factor * one
            for p in learning:
                p.grad = None
        for p, part in zip(learning, total, strict=True):
            noise = torch.randn(p.shape, generator=self.generator).to(p.device) * self.deviation
            p.grad = (part + noise) / self.expected
