"""Small changes of geometry and scale, and filters, against marks that need their pixels to stay in place.

Stirmark (Petitcolas, Anderson & Kuhn 1998, LNCS 1525) for the geometry. A quantiser's mark does not survive a change of
amplitude: Pérez-González, Mosquera, Barni & Abrardo 2005, IEEE TSP 53(10), "Rational dither modulation".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, uniform_filter

Images = NDArray[np.float32]


class Move(Protocol):
    """A removal operator that can be undone but for what resampling and the edges lose."""

    @property
    def label(self) -> str: ...

    def __call__(self, images: Images, rng: np.random.Generator) -> Images: ...

    def undone(self) -> Move: ...


def _warp(images: Images, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Images:
    """Every channel resampled at matrix · (row, column) + offset, bilinearly; edges are repeated."""
    full = np.eye(4)
    full[2:, 2:] = matrix
    moved: Images = affine_transform(images, full, np.concatenate([[0, 0], offset]), order=1, mode="nearest")
    return moved


def _about_centre(images: Images, matrix: NDArray[np.float64]) -> Images:
    centre = (np.array(images.shape[2:]) - 1) / 2
    return _warp(images, matrix, centre - matrix @ centre)


@dataclass(frozen=True)
class CropRescale:
    """Cut `pixels` off every side and scale what is left to the old size; negative does the reverse."""

    pixels: float

    @property
    def label(self) -> str:
        return f"crop-rescale({self.pixels:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        sides = np.array(images.shape[2:])
        return _about_centre(images, np.diag(np.maximum(1 - 2 * self.pixels / sides, 0.1)))

    def undone(self) -> CropRescale:
        return CropRescale(-self.pixels)


@dataclass(frozen=True)
class Rotate:
    """Rotate by `degrees` about the centre."""

    degrees: float

    @property
    def label(self) -> str:
        return f"rotate({self.degrees:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        angle = np.deg2rad(self.degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return _about_centre(images, turn)

    def undone(self) -> Rotate:
        return Rotate(-self.degrees)


@dataclass(frozen=True)
class Shift:
    """Move by `pixels` down and to the right."""

    pixels: float

    @property
    def label(self) -> str:
        return f"shift({self.pixels:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        return _warp(images, np.eye(2), np.full(2, -self.pixels))

    def undone(self) -> Shift:
        return Shift(-self.pixels)


@dataclass(frozen=True)
class Gain:
    """Multiply every pixel by `factor`."""

    factor: float

    @property
    def label(self) -> str:
        return f"gain({self.factor:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        return images * np.float32(self.factor)


@dataclass(frozen=True)
class NonLocalMeans:
    """Average pixels whose 3×3 neighbourhoods look alike (Buades, Coll & Morel 2005, CVPR); `strength` in [0, 1] units.

    `reach` is how far away, in pixels, a like neighbourhood may be.
    """

    strength: float
    reach: int = 3

    @property
    def label(self) -> str:
        return f"nlm({self.strength:g})"

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:  # noqa: ARG002
        r, (height, width) = self.reach, images.shape[2:]
        padded = np.pad(images, ((0, 0), (0, 0), (r, r), (r, r)), mode="edge")
        total, weights = np.zeros_like(images), np.zeros((len(images), 1, height, width), np.float32)
        for down in range(2 * r + 1):
            for across in range(2 * r + 1):
                other = padded[:, :, down : down + height, across : across + width]
                distance = uniform_filter(((images - other) ** 2).mean(axis=1, keepdims=True), (1, 1, 3, 3))
                weight = np.exp(-distance / np.float32(self.strength**2))
                total += weight * other
                weights += weight
        return total / weights


def aligned_psnr(moved: Images, before: Images, move: Move) -> float:
    """PSNR in dB of images moved back against what they were, over the inner three quarters of each side."""
    back = np.clip(move.undone()(moved, np.random.default_rng(0)), 0, 1)
    edges = [max(1, side // 8) for side in before.shape[2:]]
    inner = np.s_[:, :, edges[0] : -edges[0], edges[1] : -edges[1]]
    return -10 * float(np.log10(max(float(((back[inner] - before[inner]) ** 2).mean()), 1e-10)))
