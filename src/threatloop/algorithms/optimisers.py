"""The optimisers that a Recipe can name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.optim.sgd import sgd

from threatloop.core.recipe import Recipe

MOMENTUM = 0.9
SMALL = 1 << 16
"""Weights up to which plain tensor arithmetic beats the fused kernel with its bookkeeping."""
_FUSED_ON = ("cpu", "cuda")


def optimiser(parameters: Iterable[torch.Tensor], recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum .9 (weight decay in the gradient), or AdamW; fused where torch has that."""
    fused = device.type in _FUSED_ON
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)
    return torch.optim.SGD(
        parameters,
        recipe.learning_rate,
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        fused=fused,
    )


class FlatSGD:
    """The same SGD for one flat tensor.

    For one small network the bookkeeping around torch's step costs ten times the step itself, so its three lines stand
    here; a stack of networks is large enough for torch's fused kernel to win.
    """

    def __init__(self, flat: torch.Tensor, recipe: Recipe, device: torch.device) -> None:
        self.param_groups = [{"lr": recipe.learning_rate}]
        self._flat, self._momentum = flat, torch.zeros_like(flat)
        self._decay, self._fused = recipe.weight_decay, device.type in _FUSED_ON

    @torch.no_grad()
    def step(self) -> None:
        """One update of the flat tensor from its gradient, which is overwritten."""
        flat, gradient, momentum = self._flat, self._flat.grad, self._momentum
        assert gradient is not None
        rate = self.param_groups[0]["lr"]
        if flat.numel() <= SMALL:
            gradient.add_(flat, alpha=self._decay)
            momentum.mul_(MOMENTUM).add_(gradient)
            flat.add_(gradient.add_(momentum, alpha=MOMENTUM), alpha=-rate)
            return
        sgd(
            [flat],
            [gradient],
            [momentum],
            fused=self._fused,
            weight_decay=self._decay,
            momentum=MOMENTUM,
            lr=rate,
            dampening=0.0,
            nesterov=True,
            maximize=False,
        )


def set_rate(optimizer: torch.optim.Optimizer | FlatSGD, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
