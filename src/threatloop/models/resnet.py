"""ResNet-18 with torchvision's layer names, so that weights trained there load here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from threatloop.models.networks import Norm, normaliser

SMALL_SIDE = 64
"""Images up to this many pixels a side get the stem for small inputs unless told otherwise."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2015, arXiv 1512.03385, figure 5 left)."""

    def __init__(self, inputs: int, filters: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = normaliser(norm, filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = normaliser(norm, filters)
        self.stride = stride
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != filters:
            shortcut = nn.Conv2d(inputs, filters, 1, bias=False)
            self.downsample = nn.Sequential(shortcut, normaliser(norm, filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Every second pixel by hand: a 1×1 convolution of stride 2 writes beyond its memory on processors without
        # AVX-512, for some sizes (torch 2.13).
        shortcut = x if self.downsample is None else self.downsample(x[..., :: self.stride, :: self.stride])
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """Eight basic blocks in four stages (He et al. 2015, arXiv 1512.03385, table 1); reads (n, channels, h, w).

    Args:
        channels: image channels.
        classes: number of logits.
        width: filters of the first stage; doubled in each later stage. torchvision's weights need 64.
        small_input: a 3×3 stem of stride 1 without max-pooling, as is usual for CIFAR (same paper, section 4.2);
            otherwise torchvision's 7×7 stem of stride 2 with max-pooling.
        norm: ``batch``, or ``group``: normalised within each record; the layers keep their names.
    """

    def __init__(self, channels: int, classes: int, width: int, small_input: bool, norm: Norm = "batch") -> None:
        super().__init__()
        side, stride = (3, 1) if small_input else (7, 2)
        self.conv1 = nn.Conv2d(channels, width, side, stride, side // 2, bias=False)
        self.bn1 = normaliser(norm, width)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(width, width, 1, norm)
        self.layer2 = _stage(width, 2 * width, 2, norm)
        self.layer3 = _stage(2 * width, 4 * width, 2, norm)
        self.layer4 = _stage(4 * width, 8 * width, 2, norm)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for stage in self._stages():
            x = stage(x)
        answers: torch.Tensor = self.fc(x.mean((2, 3)))
        return answers

    def _stages(self) -> Sequence[nn.Module]:
        return (self.layer1, self.layer2, self.layer3, self.layer4)


def _stage(inputs: int, filters: int, stride: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, filters, stride, norm), BasicBlock(filters, filters, 1, norm))
