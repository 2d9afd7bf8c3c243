"""Smooth displacement fields, and images read through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

Floats = npt.NDArray[np.float64]


def smooth_field(sides: tuple[int, int], points: int, strength: float, rng: np.random.Generator) -> Floats:
    """A displacement per pixel: random control points, interpolated cubically.

    Nguyen & Tran 2021, arXiv 2102.10369, section 3.2. The points are uniform in [−1, 1], divided by their mean
    absolute value.

    Args:
        sides: height and width of the images.
        points: control points per side, ≥ 2.
        strength: mean absolute displacement of the control points per axis, in pixels.
        rng: draws the points.

    Returns:
        float64 (2, height, width): down and right, in pixels.
    """
    control = rng.uniform(-1, 1, (2, points, points))
    control *= strength / np.abs(control).mean()
    at = np.meshgrid(*(np.linspace(0, points - 1, side) for side in sides), indexing="ij")
    return np.stack([map_coordinates(axis, at, order=3, mode="nearest") for axis in control])


def resampled(images: npt.NDArray[Any], shift: Floats) -> npt.NDArray[np.float32]:
    """Every image read at its pixels' places plus ``shift``, bilinearly; places outside are held at the border.

    Args:
        images: (n, channels, height, width).
        shift: (1 or n, 2, height, width), down and right, in pixels.
    """
    height, width = images.shape[2:]
    rows = np.clip(np.arange(height)[:, None] + shift[:, 0], 0, height - 1)[:, None]
    columns = np.clip(np.arange(width) + shift[:, 1], 0, width - 1)[:, None]
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    n, c = np.arange(len(images))[:, None, None, None], np.arange(images.shape[1])[:, None, None]
    upper = images[n, c, top, left] * (1 - across) + images[n, c, top, right] * across
    lower = images[n, c, below, left] * (1 - across) + images[n, c, below, right] * across
    found: npt.NDArray[np.float32] = (upper * (1 - down) + lower * down).astype(np.float32)
    return found
