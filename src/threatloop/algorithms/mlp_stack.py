"""Multilayer perceptrons of one shape, K at a time: batched matrix products and a hand-written gradient.

Autograd spends most of a small network's step on bookkeeping. Here a step is a handful of batched products on stacked
weights, and one fused update over all of them. Hidden layers are kept as (K, inputs, outputs) and the last one as
(K, classes, inputs) with its answers transposed: narrow matrices stand where the products stay fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeGuard

import torch

from threatloop.algorithms.optimisers import FlatSGD, optimiser
from threatloop.core.recipe import Recipe
from threatloop.models.network import Network
from threatloop.models.networks import MLP

Layer = tuple[torch.Tensor, torch.Tensor]


def stackable(network: Network) -> TypeGuard[Network]:
    """Whether a network can be trained here: a built-in MLP that answers logits."""
    return type(network.body) is MLP and not network.answers_probabilities


def widths(network: Network) -> tuple[int, ...]:
    """Inputs, hidden widths and classes of a stackable network."""
    assert isinstance(network.body, MLP)
    layers = [layer for layer in network.body.layers if isinstance(layer, torch.nn.Linear)]
    return (layers[0].in_features, *(layer.out_features for layer in layers))


class Stack:
    """K networks of the same widths on one device. They are read at the start and written back by `write`.

    Args:
        networks: K stackable networks of the same widths.
        device: where to compute.
    """

    def __init__(self, networks: Sequence[Network], device: torch.device) -> None:
        self.networks, self.device = networks, device
        self.count, self.widths = len(networks), widths(networks[0])
        size = sum((a + 1) * b for a, b in pairwise(self.widths)) * self.count
        self.flat = torch.zeros(size, device=device)
        self.flat.grad = torch.zeros(size, device=device)
        self.layers, self.gradients = self._views(self.flat), self._views(self.flat.grad)
        self.mean, self.scale = (values.to(device) for values in _preprocessing(networks, self.widths[0]))
        with torch.no_grad():
            for k, layer, own, last in self._pairs():
                self.layers[layer][0][k] = own.weight if last else own.weight.T
                self.layers[layer][1][k] = own.bias.view(self.layers[layer][1][k].shape)

    def write(self) -> None:
        """Copy the stacked weights back into the networks."""
        with torch.no_grad():
            for k, layer, own, last in self._pairs():
                weight, bias = self.layers[layer][0][k], self.layers[layer][1][k]
                own.weight.copy_(weight if last else weight.T)
                own.bias.copy_(bias.flatten())

    def optimiser(self, recipe: Recipe) -> torch.optim.Optimizer | FlatSGD:
        """The recipe's optimiser over all K networks at once."""
        if recipe.optimiser == "sgd":
            return FlatSGD(self.flat, recipe, self.device)
        return optimiser([self.flat], recipe, self.device)

    def normalise(self, x: torch.Tensor) -> torch.Tensor:
        """Encoded records (K, batch, inputs) less each network's mean, times its 1/std; in place."""
        return x.sub_(self.mean).mul_(self.scale)

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Normalised (K, batch, inputs) to what every layer reads, and logits transposed: (K, classes, batch)."""
        reads = [x]
        for weight, bias in self.layers[:-1]:
            reads.append(torch.baddbmm(bias, reads[-1], weight).relu_())
        weight, bias = self.layers[-1]
        return reads, torch.baddbmm(bias, weight, reads[-1].transpose(1, 2))

    def backward(self, reads: list[torch.Tensor], error: torch.Tensor) -> None:
        """Fill the gradients from d loss / d logits, (K, classes, batch). What was read is overwritten."""
        (weight, _), (grad, grad_bias) = self.layers[-1], self.gradients[-1]
        torch.bmm(error, reads[-1], out=grad)
        torch.sum(error, 2, keepdim=True, out=grad_bias)
        if len(self.layers) == 1:
            return
        flow = torch.bmm(error.transpose(1, 2), weight)
        for layer in range(len(self.layers) - 2, -1, -1):
            # ReLU let through what is positive; the values themselves are not needed any more.
            flow.mul_(reads[layer + 1].sign_())
            grad, grad_bias = self.gradients[layer]
            torch.bmm(reads[layer].transpose(1, 2), flow, out=grad)
            torch.sum(flow, 1, keepdim=True, out=grad_bias)
            if layer:
                flow = torch.bmm(flow, self.layers[layer][0].transpose(1, 2))

    def _views(self, flat: torch.Tensor) -> list[Layer]:
        found, start, k = [], 0, self.count
        for layer, (a, b) in enumerate(pairwise(self.widths)):
            last = layer == len(self.widths) - 2
            middle, end = start + k * a * b, start + k * (a + 1) * b
            weight = flat[start:middle].view((k, b, a) if last else (k, a, b))
            found.append((weight, flat[middle:end].view((k, b, 1) if last else (k, 1, b))))
            start = end
        return found

    def _pairs(self) -> list[tuple[int, int, torch.nn.Linear, bool]]:
        found = []
        for k, network in enumerate(self.networks):
            assert isinstance(network.body, MLP)
            own = [layer for layer in network.body.layers if isinstance(layer, torch.nn.Linear)]
            found += [(k, i, layer, i == len(own) - 1) for i, layer in enumerate(own)]
        return found


def _preprocessing(networks: Sequence[Network], inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and 1/std of every network, each (K, 1, inputs)."""
    means, scales = [], []
    for network in networks:
        assert network.mean is not None
        assert network.std is not None
        repeat = inputs // network.mean.numel()
        means.append(network.mean.flatten().repeat_interleave(repeat))
        scales.append(network.std.flatten().reciprocal().repeat_interleave(repeat))
    return torch.stack(means)[:, None], torch.stack(scales)[:, None]
