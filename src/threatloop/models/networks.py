"""Small networks: a multilayer perceptron and a convolutional network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from threatloop.models.shapes import Shape

Norm = Literal["batch", "group"]
MOST_GROUPS, MAPS_PER_GROUP = 32, 4


class MLP(nn.Module):
    """Fully connected layers with ReLU between them; reads (n, ...) flattened, answers logits (n, classes).

    Args:
        inputs: numbers per record after flattening.
        hidden: widths of the hidden layers, first to last; may be empty (a linear classifier).
        classes: number of logits.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], classes: int) -> None:
        super().__init__()
        widths = (inputs, *hidden, classes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for layer in list(self.layers)[:-1]:
            x = torch.relu(layer(x))
        last: torch.Tensor = self.layers[-1](x)
        return last


class CNN(nn.Module):
    """Blocks of 3×3 convolution, 2×2 max-pooling, BatchNorm and ReLU, then one hidden layer; 105k weights at 28×28.

    Pooling stands before BatchNorm, so that normalisation and activation touch a quarter of the numbers. Maps that
    are still larger than 8×8 after the blocks are average-pooled to at most 8×8.

    Args:
        image: (channels, height, width) of one record.
        channels: filters of each block.
        hidden: width of the fully connected layer.
        classes: number of logits.
        norm: ``batch``, or ``group``: normalised within each record, so that records do not mix.
    """

    def __init__(self, image: Shape, channels: Sequence[int], hidden: int, classes: int, norm: Norm = "batch") -> None:
        super().__init__()
        inputs, height, width = image
        blocks: list[nn.Module] = []
        for filters in channels:
            shrink = min(height, width) >= 2
            blocks.append(_block(inputs, filters, shrink, norm))
            inputs, height, width = filters, height >> shrink, width >> shrink
        self.blocks = nn.Sequential(*blocks)
        side = (min(height, 8), min(width, 8))
        self.shrink = nn.Identity() if side == (height, width) else nn.AdaptiveAvgPool2d(side)
        self.hidden = nn.Linear(inputs * math.prod(side), hidden)
        self.last = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.shrink(self.blocks(x))
        # Flattened as height, width, channels: a view of channels-last maps, so gradients keep that fast layout too.
        flat = maps.permute(0, 2, 3, 1).flatten(1)
        answers: torch.Tensor = self.last(torch.relu(self.hidden(flat)))
        return answers


def normaliser(norm: Norm, filters: int) -> nn.Module:
    """The layer that normalises so many maps; groups as in Wu, He 2018, arXiv 1803.08494, smaller in small networks."""
    if norm == "batch":
        return nn.BatchNorm2d(filters)
    return nn.GroupNorm(math.gcd(filters, min(MOST_GROUPS, max(1, filters // MAPS_PER_GROUP))), filters)


def _block(inputs: int, filters: int, shrink: bool, norm: Norm) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, filters, 3, padding=1, bias=False)
    pool = [nn.MaxPool2d(2)] if shrink else []
    return nn.Sequential(convolution, *pool, normaliser(norm, filters), nn.ReLU(inplace=True))
