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

    def optimiser(self, recipe: Recipe, last_only: bool = False) -> torch.optim.Optimizer | FlatSGD:
        """The recipe's optimiser over all K networks at once; ``last_only`` leaves all but their last layers alone."""
        flat = self.flat
        if last_only:
            start = flat.numel() - (self.widths[-2] + 1) * self.widths[-1] * self.count
            flat, gradient = self.flat[start:], self.flat.grad
            assert gradient is not None
            flat.grad = gradient[start:]
        if recipe.optimiser == "sgd":
            return FlatSGD(flat, recipe, self.device)
        return optimiser([flat], recipe, self.device)

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

    def read(self, x: torch.Tensor) -> torch.Tensor:
        """Encoded records (K · batch, ...), one network's after the other's, as (K, batch, inputs), normalised."""
        return (x.reshape(self.count, -1, self.widths[0]) - self.mean) * self.scale

    def uphill(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The gradient of every record's cross-entropy at the encoded record: like ``x``, (K · batch, ...).

        ``targets`` (K · batch, classes) are probabilities.
        """
        reads, logits = self.forward(self.read(x))
        flow = self._error(logits, targets).transpose(1, 2)
        for layer in range(len(self.layers) - 1, -1, -1):
            weight = self.layers[layer][0]
            flow = torch.bmm(flow, weight if layer == len(self.layers) - 1 else weight.transpose(1, 2))
            flow = flow.mul_(reads[layer].sign_()) if layer else flow.mul_(self.scale)
        return flow.reshape(x.shape)

    def learnable(self) -> tuple[torch.Tensor, list[Layer]]:
        """A copy of all weights for autograd, and the layers made of it."""
        leaf = self.flat.detach().clone().requires_grad_(True)
        return leaf, self._views(leaf)

    def answers(self, x: torch.Tensor, layers: Sequence[Layer]) -> torch.Tensor:
        """Logits (K · batch, classes) of encoded records (K · batch, ...) by autograd."""
        flow = self.read(x)
        for weight, bias in layers[:-1]:
            flow = torch.relu(torch.baddbmm(bias, flow, weight))
        weight, bias = layers[-1]
        logits = torch.baddbmm(bias, weight, flow.transpose(1, 2))
        return logits.transpose(1, 2).reshape(-1, self.widths[-1])

    def gradient_norms(self, reads: Sequence[torch.Tensor], error: torch.Tensor) -> torch.Tensor:
        """L2 norm of every record's own gradient, (K, batch), from d loss / d logits (K, classes, batch).

        A layer's gradient for one record is an outer product, whose norm is the product of the norms (Goodfellow 2015,
        arXiv 1510.01799): no record's gradient is ever written out.
        """
        squares = (reads[-1].square().sum(2) + 1) * error.square().sum(1)
        flow = torch.bmm(error.transpose(1, 2), self.layers[-1][0]) if len(self.layers) > 1 else error
        for layer in range(len(self.layers) - 2, -1, -1):
            flow = flow * reads[layer + 1].sign()
            squares = squares + (reads[layer].square().sum(2) + 1) * flow.square().sum(2)
            if layer:
                flow = torch.bmm(flow, self.layers[layer][0].transpose(1, 2))
        return squares.sqrt()

    def add_to_gradients(self, values: torch.Tensor) -> None:
        """Add numbers (K, weights of one network) to the gradients, layer by layer."""
        start = 0
        for pair in self.gradients:
            for gradient in pair:
                size = gradient[0].numel()
                gradient.add_(values[:, start : start + size].view(gradient.shape))
                start += size

    @property
    def size(self) -> int:
        """Weights of one network."""
        return self.flat.numel() // self.count

    def copies(self) -> list[Layer]:
        """The layers' weights as they are now, copied."""
        return [(weight.clone(), bias.clone()) for weight, bias in self.layers]

    def put(self, layers: Sequence[Layer]) -> None:
        """Weights as `copies` gave them."""
        for (weight, bias), (kept, kept_bias) in zip(self.layers, layers, strict=True):
            weight.copy_(kept)
            bias.copy_(kept_bias)

    def _error(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """d cross-entropy / d logits, (K, classes, batch)."""
        wanted = targets.view(self.count, -1, self.widths[-1]).transpose(1, 2)
        return torch.softmax(logits, 1).sub_(wanted)

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
