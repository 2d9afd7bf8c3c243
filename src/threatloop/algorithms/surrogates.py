"""Models that an attacker trains like the victim, and steps through them that raise the loss of records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.modality import of
from threatloop.modality.space import Space

Floats = npt.NDArray[np.float32]
CIFAR = 3 * 32 * 32
"""Numbers in the records on which the papers' radii were chosen."""
WIDEST = 0.25
"""Of the range; beyond it a record is hardly what its label says."""
STEP = 2.5
"""Of the radius, over all steps together: enough to reach its border from anywhere and to turn there."""
BATCH = 512


def surrogates(training: Training, data: Dataset, count: int, streams: Streams) -> list[Any]:
    """Networks trained like the victim on these records, each by its own streams."""
    return [training.module(training.fit(data, streams.child(f"surrogate-{k}"))) for k in range(count)]


def movable(data: Dataset) -> Space:
    """Where records like these may be moved by small steps.

    Raises:
        NotAssessable: no number in them may move.
    """
    space = of(data.schema).space(data.schema, np.asarray(data.x))
    if not space.numeric.any():
        raise NotAssessable(f"small steps need a number that varies; these {data.schema.kind} records have none")
    return space


def radius(paper: float, space: Space) -> float:
    """A paper's maximum-norm radius for CIFAR-10, widened for smaller records to the same Euclidean length.

    What a small step does to a network grows with the square root of the numbers that it may move.
    """
    free = max(1, int(np.count_nonzero(space.scale)))
    return max(paper, min(WIDEST, paper * math.sqrt(CIFAR / free)))


def encoded(data: Dataset, device: torch.device) -> torch.Tensor:
    """The records as a network reads them."""
    return torch.from_numpy(np.array(of(data.schema).encode(data.x, data.schema), copy=True)).to(device)


def device_of(network: Any) -> torch.device:
    """Where a network is."""
    found: torch.device = next(network.parameters()).device
    return found


def limits(x: torch.Tensor, space: Space, epsilon: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The scale of a perturbation of ``x``, and its lowest and highest value in input units: in the ball and valid."""
    scale, low, high = (torch.from_numpy(np.array(part)).to(x.device) for part in (space.scale, space.low, space.high))
    below, above = torch.maximum(low - x, -epsilon * scale), torch.minimum(high - x, epsilon * scale)
    # A record that is out of bounds already may stay as it is.
    return scale, below.clamp(max=0), above.clamp(min=0)


def ascend(
    networks: Sequence[Any], data: Dataset, space: Space, epsilon: float, steps: int, generator: torch.Generator
) -> tuple[Floats, float, float]:
    """Perturbations that raise the cross-entropy of the records' own labels under all networks (projected gradient).

    Madry et al. 2017, arXiv 1706.06083, section 2.1, in the maximum norm, from a random start.

    Args:
        networks: from encoded records to logits.
        data: n records with the labels to be lost.
        space: where records may be moved.
        epsilon: radius in units of ``space.scale``.
        steps: gradient steps, ≥ 1.
        generator: on the CPU; draws the start.

    Returns:
        float32 (n, ...) in input units; and the mean loss at the start and at the end.
    """
    device = device_of(networks[0])
    whole, y = encoded(data, device), torch.from_numpy(np.array(data.y)).to(device)
    found, first, last = [], 0.0, 0.0
    for start in range(0, len(whole), BATCH):
        x, labels = whole[start : start + BATCH], y[start : start + BATCH]
        scale, low, high = limits(x, space, epsilon)
        delta = (low + (high - low) * torch.rand(x.shape, generator=generator).to(device)).clone()
        for step in range(steps + 1):
            delta.requires_grad_()
            loss = sum(functional.cross_entropy(net(x + delta), labels, reduction="sum") for net in networks)
            assert isinstance(loss, torch.Tensor)
            first, last = (first + loss.item(), last) if step == 0 else (first, last)
            if step == steps:
                last += loss.item()
                break
            (slope,) = torch.autograd.grad(loss, delta)
            moved = delta.detach() + slope.sign() * scale * (STEP * epsilon / steps)
            delta = torch.clamp(moved, low, high)
        found.append(delta.detach().cpu().numpy())
    n = len(whole) * len(networks)
    return np.concatenate(found).astype(np.float32), first / n, last / n
