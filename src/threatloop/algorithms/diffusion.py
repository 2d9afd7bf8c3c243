"""A small diffusion model, and regeneration by it: noise a marked image part of the way, then walk back.

Noise prediction: Ho, Jain & Abbeel 2020, arXiv:2006.11239, sec. 3; cosine schedule: Nichol & Dhariwal 2021,
arXiv:2102.09672; deterministic steps back: Song, Meng & Ermon 2021, arXiv:2010.02502; starting from a noised image
instead of from noise: Meng et al. 2022 (SDEdit), arXiv:2108.01073; against watermarks: Zhao et al. 2023,
arXiv:2306.01953.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Images = NDArray[np.float32]

DENSE_PIXELS = 256
BATCH = 64
WALK = 8
"""Steps back from the noised image."""
FIRST, LAST = 0.05, 0.6
"""The times that are trained, of the schedule's [0, 1]; the noise of earlier ones is below a mark's own."""


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A trained noise predictor.

    Attributes:
        weights: alternating weights and biases.
        loss: mean squared error of the noise over the first and the last tenth of training.
    """

    weights: tuple[torch.Tensor, ...]
    loss: tuple[float, float]

    def regenerate(self, images: Images, time: float, rng: np.random.Generator) -> Images:
        """Images (n, C, H, W) in [0, 1] noised to ``time`` in (0, LAST] and walked back; same shape and range."""
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        signal, spread = _schedule(time)
        noised = signal * (2 * images - 1) + spread * noise
        with torch.no_grad():
            parts = [self._walk(torch.from_numpy(noised[i : i + 256]), time) for i in range(0, len(images), 256)]
        return np.concatenate(parts) if parts else images.copy()

    def _walk(self, x: torch.Tensor, time: float) -> Images:
        times = np.linspace(time, 0, WALK + 1)
        for now, then in pairwise(times):
            signal, spread = _schedule(now)
            noise = _predict(self.weights, x, torch.full((len(x), 1, 1, 1), float(now)))
            clean = ((x - spread * noise) / signal).clamp(-1, 1)
            noise = (x - signal * clean) / max(spread, 1e-6)
            signal, spread = _schedule(then)
            x = signal * clean + spread * noise
        return np.asarray(((x + 1) / 2).clamp(0, 1).numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Diffuse:
    """Regeneration from `time` as a removal operator."""

    time: float
    model: Diffusion

    @property
    def label(self) -> str:
        return f"diffuse({self.time:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        return self.model.regenerate(images, self.time, rng)


def train_diffusion(images: Images, rng: np.random.Generator, steps: int | None = None, width: int = 256) -> Diffusion:
    """Train on clean images (n, C, H, W) in [0, 1], n >= 2; all randomness comes from ``rng``.

    ``steps`` of 64 images; None: 1,500 for dense nets, 500 for convolutional ones.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    targets = 2 * torch.from_numpy(np.ascontiguousarray(images)) - 1
    weights = [w.requires_grad_() for w in _initial(tuple(targets.shape[1:]), width, generator)]
    steps = steps or (1500 if weights[0].ndim == 2 else 500)
    optimiser, losses = torch.optim.Adam(weights, lr=2e-3, fused=True), []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        clean = targets[torch.randint(len(targets), (BATCH,), generator=generator)]
        time = FIRST + torch.rand(BATCH, 1, 1, 1, generator=generator) * (LAST - FIRST)
        noise = torch.randn(clean.shape, generator=generator)
        angle = time * math.pi / 2
        noised = torch.cos(angle) * clean + torch.sin(angle) * noise
        loss = F.mse_loss(_predict(weights, noised, time), noise)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    tenth = max(1, steps // 10)
    ends = (float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])))
    return Diffusion(tuple(w.detach() for w in weights), ends)


def _schedule(time: float) -> tuple[float, float]:
    """Share of signal and of noise at a time in [0, 1]."""
    return math.cos(time * math.pi / 2), math.sin(time * math.pi / 2)


def _initial(shape: tuple[int, ...], width: int, generator: torch.Generator) -> list[torch.Tensor]:
    """He-normal weights; time enters as one more input, or as one more channel."""
    pixels, channels, maps = math.prod(shape), shape[0], max(4, width // 8)
    sizes: list[tuple[int, ...]]
    if pixels <= DENSE_PIXELS:
        sizes = [(width, pixels + 1), (width, width), (width, width), (pixels, width)]
    else:
        sizes = [(maps, channels + 1, 4, 4), (2 * maps, maps, 3, 3), (maps, 2 * maps, 3, 3), (4 * channels, maps, 3, 3)]
    weights = []
    for size in sizes:
        scale = math.sqrt(2 / math.prod(size[1:])) * (0.1 if size is sizes[-1] else 1)
        weights += [torch.randn(size, generator=generator) * scale, torch.zeros(size[0])]
    return weights


def _predict(
    weights: list[torch.Tensor] | tuple[torch.Tensor, ...], x: torch.Tensor, time: torch.Tensor
) -> torch.Tensor:
    """The noise in x at these times (n, 1, 1, 1), by way of the clean image, which a small net predicts better.

    The clean image's estimate is turned into noise by the schedule, so that the model is still one of noise.
    """
    angle = time * (math.pi / 2)
    clean = _clean(weights, x, time).clamp(-1.5, 1.5)
    return (x - torch.cos(angle) * clean) / torch.sin(angle).clamp(min=0.02)


def _clean(weights: list[torch.Tensor] | tuple[torch.Tensor, ...], x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    if weights[0].ndim == 2:
        hidden = torch.cat([x.flatten(1), time.flatten(1)], dim=1)
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            hidden = F.relu(F.linear(hidden, weight, bias))
        return F.linear(hidden, weights[-2], weights[-1]).view_as(x)
    height, width = x.shape[2:]
    both = torch.cat([x, time.expand(-1, 1, height, width)], dim=1)
    padded = F.pad(both, (1, 1 + width % 2, 1, 1 + height % 2), mode="replicate")
    hidden = F.relu(F.conv2d(padded, weights[0], weights[1], stride=2))
    for weight, bias in zip(weights[2:-2:2], weights[3:-2:2], strict=True):
        hidden = F.relu(F.conv2d(hidden, weight, bias, padding=1))
    return F.pixel_shuffle(F.conv2d(hidden, weights[-2], weights[-1], padding=1), 2)[:, :, :height, :width]
