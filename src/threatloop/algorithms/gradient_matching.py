"""Perturbations whose training gradient points where the attacker wants the weights to go.

Geiping et al. 2021, "Witches' Brew", arXiv 2009.02276, section 3, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call
from torch.nn import functional

from threatloop.algorithms.surrogates import BATCH, device_of, encoded, limits
from threatloop.core.assets import Dataset
from threatloop.modality.space import Space

Floats = npt.NDArray[np.float32]
Tensors = Sequence[torch.Tensor]

STEP = 0.1
"""First step, as a share of the radius."""
DECAYS = (3 / 8, 5 / 8, 7 / 8)
"""Shares of the steps after which the step size falls to a tenth."""
TINY = 1e-12


@dataclass(frozen=True)
class Budget:
    """How far and how long poisons are moved.

    Attributes:
        epsilon: radius in units of the space.
        steps: signed Adam steps.
        restarts: random starts, of which the one with the lowest loss counts.
    """

    epsilon: float
    steps: int
    restarts: int


@dataclass(frozen=True)
class Matched:
    """Perturbations in input units, float32 (n, ...), and the matching loss (in [0, 2]) before and after."""

    delta: Floats
    first: float
    last: float


@dataclass(frozen=True)
class _Goal:
    """One network, its weights as leaves, and the direction in which they are to be pushed."""

    network: Any
    weights: dict[str, torch.Tensor]
    direction: Tensors
    length: torch.Tensor

    @classmethod
    def of(cls, network: Any, targets: Dataset, device: torch.device) -> _Goal:
        weights = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
        y = torch.from_numpy(np.array(targets.y)).to(device)
        slopes = _slopes(network, weights, encoded(targets, device), y, graph=False)
        return cls(network, weights, slopes, _length(slopes))

    def mismatch(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """1 − cos of the angle between the poisons' gradient and the direction."""
        slopes = _slopes(self.network, self.weights, x, y, graph=True)
        product = torch.stack([(a * b).sum() for a, b in zip(slopes, self.direction, strict=True)]).sum()
        return 1 - product / (_length(slopes) * self.length + TINY)


def pull(networks: Sequence[Any], data: Dataset) -> Floats:
    """How hard each record pulls at the networks: the norm of its loss gradient at their logits, mean; float32 (n,).

    It bounds the gradient of the weights, by which Souri et al. 2022 (arXiv 2106.08970, section 3) choose poisons:
    records that a trained network has long settled cannot push it anywhere.
    """
    device, found = device_of(networks[0]), []
    for start in range(0, len(data), BATCH):
        some = data.take(slice(start, start + BATCH))
        truth = functional.one_hot(torch.from_numpy(np.array(some.y)), data.n_classes).to(device)
        with torch.no_grad():
            x = encoded(some, device)
            errors = torch.stack([network(x).softmax(1) - truth for network in networks])
        found.append(errors.norm(dim=2).mean(dim=0).cpu().numpy())
    return np.concatenate(found).astype(np.float32)


def match(
    networks: Sequence[Any],
    poisons: Dataset,
    targets: Dataset,
    space: Space,
    budget: Budget,
    generator: torch.Generator,
    start: Floats | None = None,
) -> Matched:
    """Perturbations of the poisons, labels kept, under which training on them teaches the targets' labels.

    Args:
        networks: trained like the victim; the mean of their losses counts.
        poisons: n records with their true labels.
        targets: records with the labels that are to be taught, which no poison carries as content.
        space: where records may be moved.
        budget: of the search.
        generator: on the CPU; draws the starts.
        start: perturbations to go on from, in place of the random starts.
    """
    device = device_of(networks[0])
    goals = [_Goal.of(network, targets, device) for network in networks]
    x, y = encoded(poisons, device), torch.from_numpy(np.array(poisons.y)).to(device)
    best, first, lowest = torch.zeros_like(x), math.nan, math.inf
    for restart in range(1 if start is not None else budget.restarts):
        begin = _start(x, space, budget.epsilon, generator, start)
        delta, before, after = _descend(goals, x, y, space, budget, begin)
        first = before if restart == 0 else first
        if after < lowest:
            best, lowest = delta, after
    return Matched(best.cpu().numpy().astype(np.float32), first, lowest)


def _start(
    x: torch.Tensor, space: Space, epsilon: float, generator: torch.Generator, given: Floats | None
) -> torch.Tensor:
    if given is not None:
        return torch.from_numpy(given.copy()).to(x.device)
    _, low, high = limits(x, space, epsilon)
    return low + (high - low) * torch.rand(x.shape, generator=generator).to(x.device)


def _descend(
    goals: Sequence[_Goal], x: torch.Tensor, y: torch.Tensor, space: Space, budget: Budget, delta: torch.Tensor
) -> tuple[torch.Tensor, float, float]:
    """Signed Adam on the matching loss; the best perturbation seen, the loss at the start and the lowest."""
    scale, low, high = limits(x, space, budget.epsilon)
    rate, mean, square = STEP * budget.epsilon, torch.zeros_like(x), torch.zeros_like(x)
    best, first, lowest = delta, math.nan, math.inf
    for step in range(budget.steps + 1):
        delta = delta.detach().requires_grad_()
        loss = torch.stack([goal.mismatch(x + delta, y) for goal in goals]).mean()
        value = float(loss.detach())
        first = value if step == 0 else first
        if value < lowest:
            best, lowest = delta.detach(), value
        if step == budget.steps:
            break
        (slope,) = torch.autograd.grad(loss, delta, materialize_grads=True)
        mean, square = 0.9 * mean + 0.1 * slope.sign(), 0.999 * square + 0.001 * slope.sign() ** 2
        unit = (mean / (1 - 0.9 ** (step + 1))) / ((square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        now = rate * 0.1 ** sum(step >= share * budget.steps for share in DECAYS)
        delta = torch.clamp(delta.detach() - now * scale * unit, low, high)
    return best, first, lowest


def _slopes(
    network: Any, weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor, *, graph: bool
) -> Tensors:
    loss = functional.cross_entropy(functional_call(network, weights, (x,)), y)
    # A user's network may hold weights that no answer depends on.
    return torch.autograd.grad(loss, list(weights.values()), create_graph=graph, materialize_grads=True)


def _length(slopes: Tensors) -> torch.Tensor:
    return torch.stack([(part * part).sum() for part in slopes]).sum().add(TINY).sqrt()
