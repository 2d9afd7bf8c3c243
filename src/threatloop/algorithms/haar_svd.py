"""A keyed mark in the singular values of Haar-wavelet blocks: DWT-DCT-SVD with keyed dither.

The scheme of the ``invisible-watermark`` package: one level of the Haar transform, 4×4 blocks of its low band, their
cosine transform, and the largest singular value s of each quantised so that s mod step says the bit (a quarter of the
step for 0, three quarters for 1). Singular value watermarks: Liu & Tan 2002, IEEE Trans. Multimedia 4(1); in the
wavelet domain Ganic & Eskicioglu 2004, ACM MM&Sec. The cosine transform is left out of the code: it is orthogonal, so
a block and its transform have the same singular values, and changing one changes the other alike.

Ours on top: which bit a block carries and the dither of its quantiser come from the key (dither modulation: Chen &
Wornell 2001, IEEE Trans. Inf. Theory 47(4)), so a test over random keys is exact whatever the images; every image moves
by its own share of the way to the lattice, so that it stays within the distortion bound after rounding; one grey
channel is marked where the package needs three colours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from threatloop.algorithms.watermark_host import Images, chunks
from threatloop.core.errors import NotAssessable
from threatloop.numerics.keyed_tails import phase_tail, phase_tails

Floats = NDArray[np.float64]

CELL = 8
"""Pixels a side under one 4×4 block of the low band."""
PAYLOAD_BITS = 32
PACKAGE_STEP = 36.0
"""What the package takes, for colour images in grey levels of 0-255."""
LUMA = np.array([0.299, 0.587, 0.114])
BLUE, BLUE_BACK = 0.492, np.array([0.0, -0.394, 2.032])
"""U of the package's colour space is 0.492 (B − Y); what one level of U adds to R, G, B."""
FEWEST_BLOCKS = 4
"""A choice, not a limit of the test, which is exact over keys even for one block."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where each block's singular value should lie.

    Attributes:
        step: distance of the quantiser's cells, in grey levels × pixels of a block.
        bits: (blocks,) payload bit of each block, 0 or 1.
        dither: (blocks,) in [0, 1) of a step; .25 throughout is the package's quantiser.
    """

    step: float
    bits: NDArray[np.int64]
    dither: Floats

    @property
    def offsets(self) -> Floats:
        """(blocks,) what s / step must leave, in [0, 1)."""
        found: Floats = (self.dither + 0.5 * self.bits) % 1
        return found


@dataclass(frozen=True, eq=False)
class Found:
    """Evidence over keys: z and p of the set, (n,) p of each image, share of payload bits read right."""

    z_set: float
    p_set: float
    p_per_image: Floats
    bit_accuracy: float


def blocks_of(height: int, width: int) -> tuple[int, int]:
    """How many blocks an image has, down and across."""
    return height // CELL, width // CELL


def keyed_lattice(key: bytes, shape: tuple[int, int, int], psnr_db: float) -> tuple[Lattice, NDArray[np.int64]]:
    """The lattice of a key for images (C, H, W), and the payload bit that each block carries.

    Raises:
        NotAssessable: fewer blocks than `FEWEST_BLOCKS`.
    """
    down, across = blocks_of(*shape[1:])
    count = down * across
    if count < FEWEST_BLOCKS:
        raise NotAssessable(
            f"dwt_dct_svd marks blocks of {CELL}×{CELL} pixels: {shape[1]}×{shape[2]} images have {count}, "
            f"and {FEWEST_BLOCKS} are asked for; use spread_spectrum"
        )
    digest = hashlib.shake_256(len(key).to_bytes(8, "big") + key + b"dwt_dct_svd").digest(8 * count + PAYLOAD_BITS)
    numbers = np.frombuffer(digest[: 8 * count], "<u4").astype(np.float64).reshape(2, count)
    payload = np.frombuffer(digest[8 * count :], np.uint8).astype(np.int64) % 2
    slots = np.argsort(numbers[1], kind="stable").argsort() % PAYLOAD_BITS
    return Lattice(step_at(psnr_db, shape[0]), payload[slots], numbers[0] / 2**32), slots


def step_at(psnr_db: float, channels: int) -> float:
    """The step whose mean distortion meets the bound.

    A uniform error within ± step / 2 of s is spread over 64 pixels of the marked plane.
    """
    per_plane = float((BLUE_BACK**2).mean()) if channels == 3 else 1.0
    return float(np.sqrt(255**2 * 10 ** (-psnr_db / 10) / per_plane * 12 * CELL**2))


def embed(images: Images, lattice: Lattice, psnr_db: float | None) -> Images:
    """Marked images, float32 multiples of 1/255; with ``psnr_db`` each within that bound, None for the full change."""
    parts = [_embed_part(part, lattice, psnr_db) for part in chunks(images)]
    return np.concatenate(parts) if parts else images.copy()


def detect(images: Images, lattice: Lattice, slots: NDArray[np.int64]) -> Found:
    """Evidence of the lattice's key in images (n, C, H, W) in [0, 1].

    Under a random dither the phase of every block is uniform and independent of the images. Pooling the images of a
    block first keeps that exact for the set, however much the images have in common.
    """
    residues = np.concatenate([singular_values(part) for part in chunks(images)]) / lattice.step
    waves = np.exp(2j * np.pi * (residues - lattice.offsets))
    pooled = waves.sum(axis=0)
    p_set = phase_tail(np.abs(pooled), float(pooled.real.sum()))
    p_image = phase_tails(waves.shape[1], waves.real.sum(axis=1))
    per_bit = np.bincount(slots, pooled.real)[np.unique(slots)]
    return Found(float(norm.isf(np.clip(p_set, 1e-300, 1 - 1e-12))), p_set, p_image, float((per_bit > 0).mean()))


def singular_values(images: Images) -> Floats:
    """(n, blocks) largest singular value of each block, in grey levels × pixels."""
    return np.asarray(np.linalg.svd(_blocks(_low_band(_plane(images))), compute_uv=False)[..., 0])


def _embed_part(images: Images, lattice: Lattice, psnr_db: float | None) -> Images:
    plane = _plane(images)
    blocks = _blocks(_low_band(plane))
    # A trace of grey gives an all-black block singular vectors that spread the change evenly.
    left, s, right = np.linalg.svd(blocks + 1e-3)
    outer = left[..., :, 0, None] * right[..., 0, None, :]
    top = _reachable(images, outer)
    target = (np.rint(s[..., 0] / lattice.step - lattice.offsets) + lattice.offsets) * lattice.step
    target = np.where(target < 0, target + lattice.step, target)
    target = np.where(target > top, target - lattice.step, target)
    change = _pixels(outer * (target - s[..., 0])[..., None, None], plane.shape)
    return _within(images, change, psnr_db)


def _within(images: Images, change: Floats, psnr_db: float | None) -> Images:
    """The images plus as much of the change as the bound allows, at most all of it; clipped and rounded to 8 bits."""
    colour = images.shape[1] == 3
    spread = change[:, None] * BLUE_BACK[:, None, None] if colour else np.repeat(change[:, None], images.shape[1], 1)
    spread = spread / 255

    def moved(share: Floats) -> Images:
        pixels = np.clip(images + share[:, None, None, None] * spread, 0, 1)
        return (np.rint(pixels * 255) / 255).astype(np.float32)

    low, high = np.zeros(len(images)), np.ones(len(images))
    best = moved(high)
    if psnr_db is None:
        return best
    bound = 10 ** (-psnr_db / 10)
    over = ((best - images) ** 2).mean(axis=(1, 2, 3)) > bound
    best[over] = (np.rint(images[over] * 255) / 255).astype(np.float32)
    for _ in range(8):
        middle = (low + high) / 2
        trial = moved(middle)
        fits = ((trial - images) ** 2).mean(axis=(1, 2, 3)) <= bound
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        best[over & fits] = trial[over & fits]
    return best


def _reachable(images: Images, outer: Floats) -> Floats:
    """(n, blocks) the largest singular value that the pixels' range can surely hold."""
    if images.shape[1] == 3:
        return np.full(outer.shape[:2], np.inf)
    found: Floats = 2 * 255 / np.maximum(np.abs(outer).max(axis=(2, 3)), 1e-6)
    return found


def _plane(images: Images) -> Floats:
    """(n, H, W) in grey levels of 0-255: U for three channels, as in the package, else the mean of the channels."""
    pixels = images.astype(np.float64) * 255
    if images.shape[1] != 3:
        return np.asarray(pixels.mean(axis=1))
    luma = np.einsum("nchw,c->nhw", pixels, LUMA)
    found: Floats = BLUE * (pixels[:, 2] - luma) + 128
    return found


def _low_band(plane: Floats) -> Floats:
    """One level of the orthonormal Haar transform, its low band only; what does not fill a block is left out."""
    height, width = (side // CELL * CELL for side in plane.shape[1:])
    part = plane[:, :height, :width].reshape(len(plane), height // 2, 2, width // 2, 2)
    found: Floats = part.sum(axis=(2, 4)) / 2
    return found


def _blocks(low: Floats) -> Floats:
    """(n, blocks, 4, 4), row by row."""
    n, height, width = low.shape
    found: Floats = low.reshape(n, height // 4, 4, width // 4, 4).swapaxes(2, 3).reshape(n, -1, 4, 4)
    return found


def _pixels(blocks: Floats, shape: tuple[int, ...]) -> Floats:
    """Blocks of the low band back to a plane, with zero detail."""
    n, height, width = shape
    down, across = blocks_of(height, width)
    low = blocks.reshape(n, down, across, 4, 4).swapaxes(2, 3).reshape(n, 4 * down, 4 * across)
    plane = np.zeros(shape)
    plane[:, : CELL * down, : CELL * across] = low.repeat(2, axis=1).repeat(2, axis=2) / 2
    return plane
