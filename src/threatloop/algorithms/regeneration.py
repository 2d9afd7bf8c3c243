"""Learned regeneration: a small denoiser that maps marked or noisy images back to clean-looking ones.

Adding noise and then denoising removes any mark whose effect on the pixels is small (Zhao et al. 2023, "Invisible image
watermarks are provably removable using generative AI", arXiv:2306.01953). Here the generative model is a
denoiser trained on the attacker's own clean images, blind to the noise level (Vincent et al. 2010, JMLR 11, "Stacked
denoising autoencoders"). It also sees the scheme at work under throw-away keys, since schemes are public (Kerckhoffs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional as F

from threatloop.algorithms.watermark import embed
from threatloop.algorithms.watermark_host import check_images, host_statistics
from threatloop.core.errors import InputError

Images = NDArray[np.float32]
Marking = Callable[[Images, bytes], Images]

DENSE_PIXELS = 256  # up to this many inputs a fully connected net beats a convolutional one of the same cost
MAX_NOISE = 0.3
_BATCH = 64


@dataclass(frozen=True)
class DenoiserRecipe:
    """How to train a denoiser.

    Attributes:
        steps: optimiser steps of 64 images; None: 700 for dense nets (about 1 s), 300 for convolutional ones.
        width: hidden units, or channels times 8.
        learning_rate: peak of the cosine schedule.
        decoy_keys: marked copies of the images, each under its own key, to learn from; 0 to ignore the scheme.
    """

    steps: int | None = None
    width: int = 256
    learning_rate: float = 2e-3
    decoy_keys: int = 4

    def __post_init__(self) -> None:
        if (self.steps is not None and self.steps < 1) or self.width < 8 or self.decoy_keys < 0:
            raise InputError("denoiser recipe: steps must be >= 1, width >= 8 and decoy_keys >= 0")


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A trained denoiser. Call it with images (n, C, H, W) in [0, 1]; returns the same shape and range.

    Attributes:
        shape: (C, H, W) it was trained on.
        weights: alternating weight and bias tensors.
        loss: mean squared error over the first and over the last tenth of training: the second must be smaller.
    """

    shape: tuple[int, int, int]
    weights: tuple[torch.Tensor, ...]
    loss: tuple[float, float]

    def __call__(self, images: Images) -> Images:
        if images.shape[1:] != self.shape:
            raise InputError(f"denoiser: images of shape {images.shape[1:]}; it was trained on {self.shape}")
        device = self.weights[0].device
        with torch.no_grad():
            parts = [
                _forward(self.weights, torch.from_numpy(images[i : i + 256]).to(device)).clamp(0, 1).cpu().numpy()
                for i in range(0, len(images), 256)
            ]
        return np.concatenate(parts) if parts else images.copy()

    def differentiable(self, images: torch.Tensor) -> torch.Tensor:
        """The same for a tensor of images, through which gradients flow."""
        weights = [one.to(images.device) for one in self.weights]
        return _forward(weights, images).clamp(0, 1)


def train_denoiser(
    images: ArrayLike,
    rng: np.random.Generator,
    recipe: DenoiserRecipe | None = None,
    device: str = "cpu",
    mark: Marking | None = None,
) -> Denoiser:
    """Train on clean images (n, C, H, W) in [0, 1], n >= 2; all randomness comes from `rng`. Raises InputError.

    ``mark`` marks images under a key; spread spectrum by default.
    """
    recipe = recipe or DenoiserRecipe()
    clean = check_images(images)
    inputs = torch.from_numpy(_views(clean, rng, recipe.decoy_keys, mark))
    targets = torch.from_numpy(clean)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    shape = (clean.shape[1], clean.shape[2], clean.shape[3])
    weights = [w.to(device).requires_grad_() for w in _initial_weights(shape, recipe.width, generator)]
    steps = recipe.steps or (700 if len(weights[0].shape) == 2 else 300)
    optimiser = torch.optim.Adam(weights, lr=recipe.learning_rate, fused=device == "cpu" or None)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        noisy, target = _batch(inputs, targets, generator)
        loss = F.mse_loss(_forward(weights, noisy.to(device)), target.to(device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    tenth = max(1, steps // 10)
    ends = (float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])))
    return Denoiser(shape, tuple(w.detach() for w in weights), ends)


def _views(clean: Images, rng: np.random.Generator, decoy_keys: int, mark: Marking | None) -> Images:
    """(1 + decoy_keys, n, C, H, W): the clean images, then copies marked under keys drawn from `rng`."""
    if mark is None:
        mark = partial(embed, reference=host_statistics(clean))
    return np.stack([clean] + [mark(clean, rng.bytes(16)) for _ in range(decoy_keys)])


def _batch(
    inputs: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images in a random view plus noise of a random level (a quarter stays free of noise)."""
    index = torch.randint(len(targets), (_BATCH,), generator=generator)
    view = torch.randint(len(inputs), (_BATCH,), generator=generator)
    target = targets[index]
    level = (torch.rand(_BATCH, 1, 1, 1, generator=generator) * 4 / 3 - 1 / 3).clamp(min=0) * MAX_NOISE
    noise = torch.randn(target.shape, generator=generator)
    return (inputs[view, index] + level * noise).clamp(0, 1), target


def _initial_weights(shape: tuple[int, int, int], width: int, generator: torch.Generator) -> list[torch.Tensor]:
    """He-normal weights and zero biases from `generator` (module constructors would draw from the global one)."""
    pixels, maps = math.prod(shape), max(1, width // 8)
    sizes: Sequence[tuple[int, ...]]
    if pixels <= DENSE_PIXELS:
        sizes = [(width, pixels), (width, width), (pixels, width)]
    else:
        sizes = [(maps, shape[0], 4, 4), (2 * maps, maps, 3, 3), (maps, 2 * maps, 3, 3), (4 * shape[0], maps, 3, 3)]
    weights = []
    for size in sizes:
        scale = math.sqrt(2 / math.prod(size[1:])) * (0.1 if size is sizes[-1] else 1)
        weights += [torch.randn(size, generator=generator) * scale, torch.zeros(size[0])]
    return weights


def _forward(weights: Sequence[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Dense: input -> width -> width -> image. Convolutional: half resolution in the middle, no skip connection."""
    if weights[0].ndim == 2:
        hidden = images.flatten(1)
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            hidden = F.relu(F.linear(hidden, weight, bias))
        return F.linear(hidden, weights[-2], weights[-1]).view_as(images)
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1 + width % 2, 1, 1 + height % 2), mode="replicate")
    hidden = F.relu(F.conv2d(padded, weights[0], weights[1], stride=2))
    for weight, bias in zip(weights[2:-2:2], weights[3:-2:2], strict=True):
        hidden = F.relu(F.conv2d(hidden, weight, bias, padding=1))
    output = F.pixel_shuffle(F.conv2d(hidden, weights[-2], weights[-1], padding=1), 2)
    return output[:, :, :height, :width]
