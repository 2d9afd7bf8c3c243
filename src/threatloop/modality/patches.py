"""Random patches of a record, which a random search changes at a time. Positions are those in the flat encoding."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Protocol

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
TILES = 5
"""Tiles along the shorter side of an image at the start of an l2 search (Andriushchenko et al. 2020, section 3.3)."""


class Patches(Protocol):
    """What a modality knows of patches."""

    def cells(self, share: float, n: int, rng: np.random.Generator, *, wide: bool = False) -> Cells:
        """(n, groups, cells): a random patch of about this share of each of n records, one row per group of cells
        that move together; ``wide`` asks for patches that a profile fits on."""

    def profile(self, n: int, cells: int, rng: np.random.Generator) -> Floats:
        """(n, cells): how l2 mass is spread over a patch; not normalised."""

    def stripes(self, n: int, rng: np.random.Generator) -> Floats:
        """(n, d) of ±1: where an linf search starts."""

    def tiles(self, n: int, rng: np.random.Generator) -> Floats:
        """(n, d): the direction in which an l2 search starts; not normalised."""


@dataclass(frozen=True)
class SquarePatches:
    """Squares of an image, all channels at once; a group is a channel.

    Andriushchenko, Croce, Flammarion, Hein 2020, arXiv 1912.00049, section 3: squares suit convolutions, vertical
    stripes start well in linf, tiles in l2.
    """

    channels: int
    height: int
    width: int

    def cells(self, share: float, n: int, rng: np.random.Generator, *, wide: bool = False) -> Cells:
        side = max(1, round((share * self.height * self.width) ** 0.5))
        if wide:
            side = max(3, side) | 1
        side = min(side, self.height, self.width)
        top, left = (rng.integers(0, whole - side + 1, size=n) for whole in (self.height, self.width))
        rows, columns = top[:, None] + np.arange(side), left[:, None] + np.arange(side)
        flat = (rows[:, :, None] * self.width + columns[:, None, :]).reshape(n, 1, -1)
        return np.asarray(flat + np.arange(self.channels)[None, :, None] * (self.height * self.width))

    def profile(self, n: int, cells: int, rng: np.random.Generator) -> Floats:
        """Two pyramids of opposite sign side by side, lying or standing."""
        side = isqrt(cells)
        lying = _two_pyramids(side)
        turned = rng.random(n) < 0.5
        return np.where(turned[:, None, None], lying.T, lying).reshape(n, cells).astype(np.float32)

    def stripes(self, n: int, rng: np.random.Generator) -> Floats:
        signs = rng.choice([-1.0, 1.0], size=(n, self.channels, 1, self.width)).astype(np.float32)
        return np.broadcast_to(signs, (n, self.channels, self.height, self.width)).reshape(n, -1)

    def tiles(self, n: int, rng: np.random.Generator) -> Floats:
        side = max(1, min(self.height, self.width) // TILES)
        down, across = -(-self.height // side), -(-self.width // side)
        signs = rng.choice([-1.0, 1.0], size=(n, self.channels, down, across))
        tiled = np.kron(signs, np.ones((side, side))) * np.tile(_two_pyramids(side), (down, across))
        return tiled[..., : self.height, : self.width].reshape(n, -1).astype(np.float32)


@dataclass(frozen=True)
class ColumnPatches:
    """Random sets of the columns of a table that may change; every cell is a group of its own.

    Columns have no neighbours, so a patch is any set of them.

    Attributes:
        width: numbers in an encoded record.
        free: positions that may change, at least one.
    """

    width: int
    free: tuple[int, ...]

    def cells(self, share: float, n: int, rng: np.random.Generator, *, wide: bool = False) -> Cells:  # noqa: ARG002
        count = min(max(1, round(share * len(self.free))), len(self.free))
        chosen = np.argsort(rng.random((n, len(self.free))), axis=1)[:, :count]
        return np.asarray(np.array(self.free, np.int64)[chosen][:, :, None])

    def profile(self, n: int, cells: int, rng: np.random.Generator) -> Floats:  # noqa: ARG002
        return np.ones((n, cells), np.float32)

    def stripes(self, n: int, rng: np.random.Generator) -> Floats:
        return rng.choice([-1.0, 1.0], size=(n, self.width)).astype(np.float32)

    def tiles(self, n: int, rng: np.random.Generator) -> Floats:
        signs = np.zeros((n, self.width), np.float32)
        signs[:, list(self.free)] = rng.choice([-1.0, 1.0], size=(n, len(self.free)))
        return signs


def _two_pyramids(side: int) -> npt.NDArray[np.float64]:
    """(side, side): a pyramid above one of opposite sign, each of unit length."""
    if side < 2:
        return np.ones((side, side))
    parts = [_pyramid(side // 2, side), -_pyramid(side - side // 2, side)]
    return np.concatenate([part / np.linalg.norm(part) for part in parts])


def _pyramid(height: int, width: int) -> npt.NDArray[np.float64]:
    """Rises towards the middle: 1/j² summed over j from the ring of the cell outwards."""
    down, across = np.arange(height) - height // 2, np.arange(width) - width // 2
    ring = np.maximum(np.abs(down)[:, None], np.abs(across)[None, :])
    layers = max(height // 2, width // 2) + 1
    sums = np.cumsum((1.0 / np.arange(1, layers + 1) ** 2)[::-1])[::-1]
    return np.asarray(sums[ring])
