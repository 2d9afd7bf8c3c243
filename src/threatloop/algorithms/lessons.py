"""Lessons: plain supervision, mixed pairs of records, records moved against the network, easy records held back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from threatloop.algorithms.ball import Ball
from threatloop.algorithms.course import Lesson, Logits, Side, Uphill
from threatloop.algorithms.hunt import log_odds
from threatloop.algorithms.method import Adversary
from threatloop.modality.space import Space

JITTER = 1e-3
"""Standard deviation of the start of TRADES' search, in the records' units (its authors' choice)."""


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of every record, (n,); ``targets`` (n, classes) are probabilities."""
    return -(targets * F.log_softmax(logits.float(), dim=1)).sum(1)


@dataclass(frozen=True)
class Supervised(Lesson):
    """Cross-entropy, on pairs that are mixed first, on records that are then moved; all three as asked for.

    Attributes:
        mixing: parameter of the Beta distribution that shares are drawn from; None mixes nothing.
        adversary: how records are moved; None leaves them.
        space: where they may be moved.
    """

    mixing: float | None = None
    adversary: Adversary | None = None
    space: Space | None = None

    def losses(
        self, logits: Logits, uphill: Uphill, x: torch.Tensor, targets: torch.Tensor, side: Side
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.mixing is not None:
            x, targets = mixed(x, targets, self.mixing, side)
        if self.adversary is None or self.adversary.balance is None:
            found = logits(self.moved(uphill, x, targets, side))
            return cross_entropy(found, targets), found
        natural = logits(x)
        answer = torch.softmax(natural.float(), 1)
        other = F.log_softmax(logits(self.moved(uphill, x, answer.detach(), side)).float(), 1)
        apart = (answer * (F.log_softmax(natural.float(), 1) - other)).sum(1)
        return cross_entropy(natural, targets) + self.adversary.balance * apart, natural

    def moved(self, uphill: Uphill, x: torch.Tensor, targets: torch.Tensor, side: Side) -> torch.Tensor:
        if self.adversary is None or self.space is None:
            return x
        ball = Ball(self.space, self.adversary.norm, self._radius(self.space), x)
        points = self._start(ball, side)
        for _ in range(self.adversary.steps):
            gradient = uphill(ball.harden(points), targets)
            points = ball.step(points, gradient, self.adversary.size * ball.radius)
        return ball.harden(points)

    def _radius(self, space: Space) -> float:
        assert self.adversary is not None
        epsilon, norm = self.adversary.epsilon, self.adversary.norm
        return min(space.usual[norm] if epsilon is None else epsilon, space.reach(norm))

    def _start(self, ball: Ball, side: Side) -> torch.Tensor:
        """Madry: anywhere in the ball. TRADES: next to the record, where its gradient is not 0."""
        assert self.adversary is not None
        points = ball.origin.clone()
        for span, generator in zip(side.spans(), side.generators, strict=True):
            own = ball.take(torch.arange(span.start, span.stop))
            if self.adversary.balance is None:
                points[span] = own.start(generator)
            else:
                noise = torch.randn(own.origin.shape, generator=generator).to(own.origin.device)
                points[span] = own.project(own.origin + JITTER * own.unit * noise)
        return points


def mixed(x: torch.Tensor, targets: torch.Tensor, alpha: float, side: Side) -> tuple[torch.Tensor, torch.Tensor]:
    """Every record and its target mixed with those of another; one share for all records of a network's batch, as in
    the paper's own experiments."""
    x, targets, known, wanted = x.clone(), targets.clone(), x, targets
    for span, rng in zip(side.spans(), side.rngs, strict=True):
        share, n = float(rng.beta(alpha, alpha)), span.stop - span.start
        partner = torch.from_numpy(rng.permutation(n)).to(x.device) + span.start
        x[span] = share * known[span] + (1 - share) * known[partner]
        targets[span] = share * wanted[span] + (1 - share) * wanted[partner]
    return x, targets


@dataclass(frozen=True)
class HeldBack(Lesson):
    """Local gradient ascent: losses below γ are climbed; ordinary records stay there, easy ones fall through.

    Li et al. 2021, arXiv 2110.11571, equation 3.
    """

    gamma: float

    def losses(
        self,
        logits: Logits,
        uphill: Uphill,  # noqa: ARG002
        x: torch.Tensor,
        targets: torch.Tensor,
        side: Side,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = logits(x)
        losses = cross_entropy(found, targets)
        return torch.sign(losses.detach() - self.gamma) * losses, found


@dataclass(frozen=True)
class Unlearned(Lesson):
    """Gradient ascent on records whose targets are negated, descent on the others (the same paper, equation 4).

    What is climbed are the log-odds against the label: cross-entropy by another scale, that does not vanish where the
    network is sure. Ascent on a record ends where its label is no more than a guess: beyond, only the weights grow.
    """

    def losses(
        self,
        logits: Logits,
        uphill: Uphill,  # noqa: ARG002
        x: torch.Tensor,
        targets: torch.Tensor,
        side: Side,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = logits(x)
        guess = math.log(max(2, found.shape[1]) - 1)
        climbed = -log_odds(found.float(), targets.argmin(1)).clamp(max=guess)
        return torch.where(targets.sum(1) < 0, climbed, cross_entropy(found, targets)), found


def paired(first: torch.Tensor, second: torch.Tensor, temperature: float, sizes: Sequence[int]) -> torch.Tensor:
    """NT-Xent loss of every record (K · batch,), from its two projections, each (K, batch, d).

    Chen et al. 2020, arXiv 2002.05709, equation 1: the other view among all 2 (batch − 1) views of other records.
    """
    count, width = first.shape[:2]
    views = F.normalize(torch.cat([first, second], 1).float(), dim=2)
    alike = torch.bmm(views, views.transpose(1, 2)) / temperature
    unused = (torch.arange(width) >= torch.tensor(sizes)[:, None]).repeat(1, 2).to(first.device)
    alike = alike.masked_fill(unused[:, None, :] | torch.eye(2 * width, dtype=torch.bool, device=first.device), -1e9)
    partner = (torch.arange(2 * width, device=first.device) + width) % (2 * width)
    losses = F.cross_entropy(alike.flatten(0, 1), partner.repeat(count), reduction="none").view(count, 2, width)
    return losses.mean(1).flatten()
