"""Neurons of any network: what its linear and convolutional layers read, found by hooks and never by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from threatloop.algorithms.finetune import EVALUATED_AT_ONCE, place
from threatloop.core.errors import NotAssessable
from threatloop.models.network import Network

PRUNED_AT_ONCE = 64
"""Steps in which a layer is pruned."""
Seen = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True)
class Reader:
    """A layer behind a hidden one.

    A neuron is what it reads: a number where it is linear, a channel where it is a convolution. Whatever stands between
    the layers (activation, pooling, normalisation, residual sums) has already acted, so that a neuron is switched off
    exactly by not reading it.

    Attributes:
        layer: the module.
        neurons: how many it reads.
        behind_convolution: the layer before it is one.
    """

    layer: nn.Linear | nn.Conv2d
    neurons: int
    behind_convolution: bool

    def silence(self, neurons: torch.Tensor) -> None:
        """Stop reading these neurons."""
        with torch.no_grad():
            self.layer.weight[:, neurons] = 0

    def prune(self, order: torch.Tensor, bearable: Callable[[], bool]) -> torch.Tensor:
        """Silence as many neurons as is bearable, first of ``order`` first; all but one at most. Returns them."""
        kept, count = self.layer.weight.detach().clone(), 0
        step = max(1, self.neurons // PRUNED_AT_ONCE)
        for more in range(step, self.neurons, step):
            self.silence(order[:more])
            if not bearable():
                break
            count = more
        with torch.no_grad():
            self.layer.weight.copy_(kept)
        self.silence(order[:count])
        return order[:count]


def readers(network: Network, x: torch.Tensor) -> list[Reader]:
    """The layers that read hidden neurons, in the order in which they act; grouped convolutions are passed over.

    Args:
        network: any, in eval mode.
        x: some encoded records.

    Raises:
        NotAssessable: there are none.
    """
    called: list[Reader] = []
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    def seen(i: int, _: torch.Tensor) -> None:
        layer = layers[i]
        if all(one.layer is not layer for one in called):
            behind = bool(called) and isinstance(called[-1].layer, nn.Conv2d)
            called.append(Reader(layer, layer.weight.shape[1], behind))

    with torch.no_grad(), watching(layers, seen):
        network(x.to(place(network)))
    hidden = [one for one in called[1:] if getattr(one.layer, "groups", 1) == 1]
    if not hidden:
        raise NotAssessable("the network has no hidden neurons: it needs a Linear or Conv2d layer behind another")
    return hidden


@contextmanager
def watching(layers: list[Any], seen: Seen) -> Iterator[None]:
    """Call ``seen`` with a layer's position and what it reads, whenever it acts."""

    def hook(i: int) -> Any:
        return lambda _layer, inputs: seen(i, inputs[0])

    handles = [layer.register_forward_pre_hook(hook(i)) for i, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def activity(network: Network, found: list[Reader], x: torch.Tensor) -> list[torch.Tensor]:
    """Mean absolute activation of every neuron over the records; one vector per reader."""
    sums = [torch.zeros(one.neurons, device=place(network)) for one in found]

    def seen(i: int, read: torch.Tensor) -> None:
        sums[i] += per_neuron(read.abs(), found[i]).sum(0)

    with torch.no_grad(), watching([one.layer for one in found], seen):
        for part in torch.split(x, EVALUATED_AT_ONCE):
            network(part.to(place(network)))
    return [one / len(x) for one in sums]


def per_neuron(read: torch.Tensor, reader: Reader) -> torch.Tensor:
    """What a layer reads as (n, neurons): channels averaged over their places, tokens over their positions."""
    axis = 1 if isinstance(reader.layer, nn.Conv2d) else read.dim() - 1
    moved = read.movedim(axis, -1)
    return moved.reshape(len(moved), -1, moved.shape[-1]).mean(1)


def behind_convolutions(found: list[Reader]) -> Reader:
    """The layer that reads what the last convolution feeds; the last layer where there are no convolutions."""
    behind = [one for one in found if one.behind_convolution]
    return behind[-1] if behind else found[-1]


def attention(read: torch.Tensor) -> torch.Tensor:
    """Where a layer's neurons are active, (n, places), each of length 1: squared activations, in maps summed over the
    channels (Zagoruyko, Komodakis 2016, arXiv 1612.03928, section 3.1, p = 2); where there are no maps, the squares."""
    squares = read.pow(2)
    flat = squares.sum(1).flatten(1) if read.dim() == 4 else squares.flatten(1)
    return nn.functional.normalize(flat, dim=1)
