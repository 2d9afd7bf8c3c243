"""Noise on answers that leaves a membership classifier undecided."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.algorithms.own_models import Halves, Held, halves

Answers = npt.NDArray[np.float32]
FLOOR = -20.0
STEPS, TRAINING_STEPS = 8, 150
WIDTH = 16
LONGEST = 2.0
"""Longest step in the logits: the classifier is not linear."""
LEAD = 1e-3
"""By how much the leading class keeps its lead, in logits."""


@dataclass(frozen=True, eq=False)
class Rival:
    """The defender's own membership classifier: log-odds of membership from an answer.

    Attributes:
        network: of standardised sorted log-probabilities.
        mean, scale: that standardise them.
        margin: mean lead of the best class in the answers that it was trained on as members'.
    """

    network: nn.Module
    mean: torch.Tensor
    scale: torch.Tensor
    margin: float

    def odds(self, logits: torch.Tensor) -> torch.Tensor:
        """(n,) of logits (n, classes)."""
        found: torch.Tensor = self.network((_sorted(logits) - self.mean) / self.scale).squeeze(1)
        return found


def lead(log_probs: Answers) -> float:
    """Mean lead of the best class over the second, in nats."""
    ranked = np.sort(np.maximum(log_probs, FLOOR), axis=1)
    return float((ranked[:, -1] - ranked[:, -2]).mean())


@lru_cache(maxsize=8)
def rival(held: Held) -> Rival:
    """A classifier of what a model of half of the records answers to this half and to the other."""
    return _trained(halves(held), held.streams.integer("rival"))


def _trained(known: Halves, seed: int) -> Rival:
    draws = torch.Generator().manual_seed(seed)
    x = _sorted(torch.from_numpy(np.concatenate([known.inside, known.outside])))
    y = torch.cat([torch.ones(len(known.inside)), torch.zeros(len(known.outside))])
    mean, scale = x.mean(dim=0), x.std(dim=0) + 1e-3
    network = _network(x.shape[1], draws)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=1e-2, fused=True)
    inputs = (x - mean) / scale
    for _ in range(TRAINING_STEPS):
        loss = nn.functional.binary_cross_entropy_with_logits(network(inputs).squeeze(1), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Rival(network.requires_grad_(False), mean, scale, lead(known.inside))


def undecided(judge: Rival, log_probs: Answers, ratio: float) -> tuple[Answers, Answers, Answers]:
    """Logits near the answers', with the same leading class, of which the classifier says as little as can be.

    Newton steps along the classifier's gradient, the leading class held in front; the smallest doubt is kept.

    Args:
        judge: the classifier.
        log_probs: (n, classes).
        ratio: brings their scale to that of the answers which the classifier knows.

    Returns:
        Changed logits (n, classes), and |membership probability − ½| before and after, each (n,).
    """
    start = torch.from_numpy(np.maximum(log_probs, FLOOR))
    leaders = start.argmax(dim=1, keepdim=True)
    x = start.clone()
    best, first = start.clone(), _doubt(judge, start * ratio)
    least = first.clone()
    for _ in range(STEPS):
        x.requires_grad_(True)
        odds = judge.odds(x * ratio)
        (gradient,) = torch.autograd.grad(odds.sum(), x)
        step = -odds.detach()[:, None] * gradient / (gradient.square().sum(dim=1, keepdim=True) + 1e-9)
        step *= (LONGEST / (step.norm(dim=1, keepdim=True) + 1e-9)).clamp(max=1)
        x = _led(x.detach() + step, leaders)
        doubt = _doubt(judge, x * ratio)
        better = doubt < least - 1e-3
        best[better], least[better] = x[better], doubt[better]
    return best.numpy(), first.numpy(), least.numpy()


def _doubt(judge: Rival, logits: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return (torch.sigmoid(judge.odds(logits)) - 0.5).abs()


def _led(x: torch.Tensor, leaders: torch.Tensor) -> torch.Tensor:
    """The logits with every other class cut below the leading one."""
    ceiling = x.gather(1, leaders)
    return torch.minimum(x, ceiling - LEAD).scatter(1, leaders, ceiling)


def _sorted(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits, dim=1).clamp(min=FLOOR).sort(dim=1, descending=True).values


def _network(inputs: int, draws: torch.Generator) -> nn.Module:
    first, last = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, 1)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=draws) / layer.in_features**0.5)
            layer.bias.zero_()
    return nn.Sequential(first, nn.Tanh(), last)
