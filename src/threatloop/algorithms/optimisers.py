"""The optimisers that a Recipe can name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.optim.sgd import sgd

from threatloop.core.recipe import Recipe

MOMENTUM = 0.9
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
    """The same SGD for one flat tensor through torch's functional form.

    For a small network the bookkeeping around a step costs ten times the step itself.
    """

    def __init__(self, flat: torch.Tensor, recipe: Recipe, device: torch.device) -> None:
        self.param_groups = [{"lr": recipe.learning_rate}]
        self._flat, self._momentum = flat, torch.zeros_like(flat)
        self._decay, self._fused = recipe.weight_decay, device.type in _FUSED_ON

    @torch.no_grad()
    def step(self) -> None:
        """One update of the flat tensor from its gradient."""
        assert self._flat.grad is not None
        sgd(
            [self._flat],
            [self._flat.grad],
            [self._momentum],
            fused=self._fused,
            weight_decay=self._decay,
            momentum=MOMENTUM,
            lr=self.param_groups[0]["lr"],
            dampening=0.0,
            nesterov=True,
            maximize=False,
        )


def set_rate(optimizer: torch.optim.Optimizer | FlatSGD, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
