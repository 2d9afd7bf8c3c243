"""A learned mark: an encoder and a decoder trained together through a noise layer.

After HiDDeN (Zhu, Kaplan, Johnson & Fei-Fei 2018, "HiDDeN: hiding data with deep networks", arXiv:1807.09937, sec. 3):
30 bits, an encoder that adds a residual, distortions between encoder and decoder, a decoder that reads the bits. Ours
is far smaller, so that a key costs seconds on one core: no adversary, the distortion bound is met by scaling the
residual instead of by a loss, and the message enters through learned patterns that a small convolutional net shapes
to each image. Images larger than a tile carry the message once in every tile.

The payload comes from the key by itself, not through training. So whatever the networks read from images that were not
marked under the key, every bit agrees with the payload with probability one half: the test over payloads is exact.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch.nn import functional as F

from threatloop.algorithms.watermark import at_psnr
from threatloop.algorithms.watermark_host import Images, chunks
from threatloop.numerics.keyed_tails import bits_tail, sign_tail

Floats = NDArray[np.float64]

BITS = 30
TILE = 32
STEPS, BATCH, MAPS = 200, 64, 4
LEARNING_RATE = 4e-3
NOISE = 0.03
"""Standard deviation of the noise layer's noise, in [0, 1] units."""
KEPT = 12
"""Trained networks that one process keeps."""


@dataclass(frozen=True, eq=False)
class Found:
    """Evidence over payloads: z and p of the set, (n,) p of each image, share of payload bits read right."""

    z_set: float
    p_set: float
    p_per_image: Floats
    bit_accuracy: float


@dataclass(frozen=True, eq=False)
class LearnedMark:
    """The networks of one key.

    Attributes:
        weights: of encoder and decoder, by name.
        payload: (BITS,) of ±1.
        usual: (BITS,) mean answer on the clean images that they were trained on.
        loss: mean binary cross-entropy over the first and the last tenth of training.
    """

    weights: dict[str, torch.Tensor]
    payload: Floats
    usual: Floats
    loss: tuple[float, float]

    def embed(self, images: Images, psnr_db: float) -> Images:
        """The marked images, each as strong as its distortion bound allows; multiples of 1/255."""
        message = torch.from_numpy(self.payload.astype(np.float32))[None]
        parts = []
        for part in chunks(images):
            pattern = np.zeros_like(part)
            for place in _tiles(part):
                tile = torch.from_numpy(np.ascontiguousarray(part[place]))
                with torch.no_grad():
                    pattern[place] = _residual(self.weights, tile, message.expand(len(tile), -1)).numpy()
            parts.append(at_psnr(part, pattern, psnr_db))
        return np.concatenate(parts) if parts else images.copy()

    def detect(self, images: Images) -> Found:
        """Evidence of the key's payload in images (n, C, H, W) in [0, 1], n >= 1."""
        answers = _answers(self.weights, images) - self.usual
        agreeing = answers * self.payload
        # No image counts more than another, however far it is from what the decoder knows.
        pooled = (answers / np.maximum(np.linalg.norm(answers, axis=1, keepdims=True), 1e-9)).sum(axis=0)
        p_set = sign_tail(np.abs(pooled), float(pooled @ self.payload))
        right = (agreeing > 0).sum(axis=1)
        read = float((pooled * self.payload > 0).mean())
        return Found(float(norm.isf(np.clip(p_set, 1e-300, 1 - 1e-12))), p_set, bits_tail(right, BITS), read)


_CACHE: OrderedDict[bytes, LearnedMark] = OrderedDict()


def learned_mark(clean: Images, key: bytes, psnr_db: float) -> LearnedMark:
    """The networks of a key, trained on clean images (n, C, H, W); kept, so that marking and detecting train once."""
    shape = repr((clean.shape, psnr_db)).encode()
    name = hashlib.blake2b(shape + len(key).to_bytes(8, "big") + key + np.ascontiguousarray(clean).tobytes()).digest()
    if name not in _CACHE:
        _CACHE[name] = _train(clean, key, psnr_db)
        while len(_CACHE) > KEPT:
            _CACHE.popitem(last=False)
    _CACHE.move_to_end(name)
    return _CACHE[name]


def _train(clean: Images, key: bytes, psnr_db: float) -> LearnedMark:
    secret = hashlib.shake_256(len(key).to_bytes(8, "big") + key + b"learned_mark").digest(8 + BITS)
    generator = torch.Generator().manual_seed(int.from_bytes(secret[:8], "big") >> 1)
    payload = np.frombuffer(secret[8:], np.uint8).astype(np.float64) % 2 * 2 - 1
    budget = 10 ** (-psnr_db / 20)
    tiles = torch.from_numpy(np.concatenate([clean[place] for place in _tiles(clean)])[: 64 * BATCH])
    weights = _initial(tiles, generator, budget)
    optimiser = torch.optim.Adam(list(weights.values()), lr=LEARNING_RATE)
    losses = []
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        images = tiles[torch.randint(len(tiles), (BATCH,), generator=generator)]
        bits = torch.randint(2, (BATCH, BITS), generator=generator).float()
        marked = (images + budget * _residual(weights, images, 2 * bits - 1)).clamp(0, 1)
        loss = F.binary_cross_entropy_with_logits(_decode(weights, _noisy(marked, images, generator)), bits)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    tenth = STEPS // 10
    fixed = {name: weight.detach() for name, weight in weights.items()}
    usual = _answers(fixed, clean).mean(axis=0)
    return LearnedMark(fixed, payload, usual, (float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))))


def _initial(tiles: torch.Tensor, generator: torch.Generator, budget: float) -> dict[str, torch.Tensor]:
    """Random patterns, and the linear decoder that is best for them in Gaussian hosts: training starts from there."""
    channels, pixels = tiles.shape[1], tiles[0].numel()
    sizes = {
        "patterns": ((BITS, pixels), 1.0),
        "shape_in": ((MAPS, channels, 3, 3), math.sqrt(2 / (9 * channels))),
        "shape_out": ((channels, MAPS, 3, 3), 0.1 * math.sqrt(2 / (9 * MAPS))),
        "look": ((MAPS, channels, 3, 3), math.sqrt(2 / (9 * channels))),
    }
    made = {name: torch.randn(size, generator=generator) * scale for name, (size, scale) in sizes.items()}
    # Orthogonal: what one bit's pattern adds to another's answer is the same in all images and never averages out.
    made["patterns"] = torch.linalg.qr(made["patterns"].T)[0].T * math.sqrt(pixels)
    hosts = tiles.flatten(1).double() - tiles.flatten(1).double().mean(dim=0)
    covariance = hosts.T @ hosts / len(hosts) + NOISE**2 * torch.eye(pixels, dtype=torch.float64)
    best = torch.linalg.solve(covariance, made["patterns"].T.double()).T.float()
    made["read"] = torch.cat([2 * budget / math.sqrt(BITS) * best, torch.zeros(BITS, pixels // channels * MAPS)], dim=1)
    made["bias"] = -made["read"][:, :pixels] @ tiles.flatten(1).mean(dim=0)
    return {name: weight.requires_grad_() for name, weight in made.items()}


def _residual(weights: dict[str, torch.Tensor], images: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
    """The message's pattern, stronger where the image hides it; of root mean square 1."""
    pattern = (message @ weights["patterns"] / math.sqrt(BITS)).view_as(images)
    seen = F.relu(F.conv2d(images - 0.5, weights["shape_in"], padding=1))
    shaped = pattern * torch.exp(F.conv2d(seen, weights["shape_out"], padding=1).clamp(-2, 2))
    return shaped / (shaped.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-12).sqrt()


def _decode(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    seen = F.leaky_relu(F.conv2d(images - 0.5, weights["look"], padding=1), 0.2)
    return torch.cat([images, seen], dim=1).flatten(1) @ weights["read"].T + weights["bias"]


def _noisy(marked: torch.Tensor, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One distortion for each image: none, rounding and noise, blur, or pixels of the original (HiDDeN's dropout)."""
    kind = torch.randint(4, (len(marked), 1, 1, 1), generator=generator)
    noise = NOISE * torch.randn(marked.shape, generator=generator)
    kept = torch.rand(marked.shape, generator=generator) < 0.7
    edge = torch.tensor([0.2, 0.6, 0.2])
    kernel = (edge[:, None] * edge).expand(marked.shape[1], 1, 3, 3)
    blurred = F.conv2d(F.pad(marked, (1, 1, 1, 1), mode="replicate"), kernel, groups=marked.shape[1])
    found = torch.where(kind == 1, marked + noise, torch.where(kind == 2, blurred, marked))
    return torch.where((kind == 3) & ~kept, images, found)


def _answers(weights: dict[str, torch.Tensor], images: Images) -> Floats:
    """(n, BITS) logits, summed over tiles."""
    found = np.zeros((len(images), BITS))
    with torch.no_grad():
        for place in _tiles(images):
            for i in range(0, len(images), 512):
                tile = torch.from_numpy(np.ascontiguousarray(images[i : i + 512][place]))
                found[i : i + 512] += _decode(weights, tile).double().numpy()
    return found


def _tiles(images: Images) -> list[tuple[slice, ...]]:
    """The whole tiles of a batch; one that is the image where it is small."""
    height, width = images.shape[2:]
    tall, wide = min(height, TILE), min(width, TILE)
    corners = [(i * tall, j * wide) for i in range(height // tall) for j in range(width // wide)]
    return [np.s_[:, :, top : top + tall, left : left + wide] for top, left in corners]
