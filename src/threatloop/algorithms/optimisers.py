"""The optimisers that a Recipe can name."""

from __future__ import annotations

from collections.abc import Iterable

import torch

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


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
