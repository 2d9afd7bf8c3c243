"""Initial weights from one generator. torch's own initialisation draws from the global state, so it is not used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

Draw = Callable[[nn.Module, torch.Generator], None]


def _linear(module: nn.Module, generator: torch.Generator) -> None:
    assert isinstance(module, nn.Linear)
    bound = 1 / math.sqrt(module.in_features)
    module.weight.uniform_(-bound, bound, generator=generator)
    if module.bias is not None:
        module.bias.uniform_(-bound, bound, generator=generator)


def _convolution(module: nn.Module, generator: torch.Generator) -> None:
    assert isinstance(module, nn.Conv2d)
    fan_out = module.out_channels * math.prod(module.kernel_size)
    module.weight.normal_(0.0, math.sqrt(2 / fan_out), generator=generator)
    if module.bias is not None:
        module.bias.zero_()


def _embedding(module: nn.Module, generator: torch.Generator) -> None:
    assert isinstance(module, nn.Embedding)
    module.weight.normal_(0.0, 0.02, generator=generator)


def _norm(module: nn.Module, generator: torch.Generator) -> None:  # noqa: ARG001
    assert isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm)
    module.weight.fill_(1.0)
    module.bias.zero_()
    if isinstance(module, nn.BatchNorm2d):
        module.reset_running_stats()


DRAWS: Mapping[type[nn.Module], Draw] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.Embedding: _embedding,
    nn.BatchNorm2d: _norm,
    nn.LayerNorm: _norm,
    nn.GroupNorm: _norm,
}


def initialise(make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """The module that ``make`` returns, on the CPU, with every weight drawn from the generator.

    Linear layers: uniform within ±1/√fan-in, biases too. Convolutions: normal with variance 2/fan-out (He et al. 2015,
    arXiv 1502.01852, section 2.2). Embeddings: normal, deviation .02. Norms: 1 and 0.

    Raises:
        TypeError: a layer with weights has no rule here.
    """
    with torch.device("meta"):
        module = make()
    module.to_empty(device="cpu")
    with torch.no_grad():
        for layer in module.modules():
            draw = DRAWS.get(type(layer))
            if draw is not None:
                draw(layer, generator)
            elif any(True for _ in layer.parameters(recurse=False)):
                raise TypeError(f"no rule to initialise {type(layer).__name__}")
    return module
