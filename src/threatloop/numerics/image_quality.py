"""Full-reference image quality over a batch: PSNR and SSIM."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import correlate1d

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats

MAX_WINDOW = 11
MIN_SIDE = 3
_SIGMA = 1.5


def _pair(a: ArrayLike, b: ArrayLike, peak: float) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 4 or first.shape != second.shape:
        raise InputError(f"images {first.shape} and {second.shape}: expected two batches NCHW of one shape")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("images: NaN or infinite pixels; replace them before comparing")
    if not peak > 0:
        raise InputError(f"peak: {peak} is not allowed; give the largest pixel value, such as 1.0 or 255")
    return first, second


def psnr(a: ArrayLike, b: ArrayLike, peak: float = 1.0) -> Floats:
    """Peak signal-to-noise ratio of each image.

    Args:
        a: images, shape (n, c, h, w), values in [0, peak].
        b: images of the same shape.
        peak: largest possible pixel value.

    Returns:
        Decibels, shape (n,); +inf where two images are identical (average squared errors, not these).

    Raises:
        InputError: shapes differ or are not NCHW, non-finite pixels, peak not above 0.
    """
    first, second = _pair(a, b, peak)
    error = ((first - second) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        decibels: Floats = 10 * np.log10(peak**2 / error)
    return decibels


def window_for(height: int, width: int) -> int:
    """Side of the SSIM window: 11 pixels, or the largest odd number that fits a smaller image (7 for 8x8)."""
    side = min(height, width, MAX_WINDOW)
    return side if side % 2 else side - 1


def _blur(images: Floats, window: int) -> Floats:
    offsets = np.arange(window) - window // 2
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights /= weights.sum()
    rows = correlate1d(images, weights, axis=2)
    edge = window // 2
    # Only windows that lie wholly inside the image count, as in the paper's own code.
    inside: Floats = correlate1d(rows, weights, axis=3)[:, :, edge : -edge or None, edge : -edge or None]
    return inside


def ssim(a: ArrayLike, b: ArrayLike, peak: float = 1.0) -> Floats:
    """Mean structural similarity of each image (Wang, Bovik, Sheikh & Simoncelli 2004), averaged over channels.

    Gaussian window, deviation 1.5 pixels, K1 = .01, K2 = .03; the window shrinks for images below 11 pixels.

    Args:
        a: images, shape (n, c, h, w), values in [0, peak], sides of at least 3 pixels.
        b: images of the same shape.
        peak: largest possible pixel value.

    Returns:
        Similarity in [-1, 1], shape (n,); 1 for identical images.

    Raises:
        InputError: shapes differ or are not NCHW, sides below 3, non-finite pixels, peak not above 0.
    """
    first, second = _pair(a, b, peak)
    if min(first.shape[2:]) < MIN_SIDE:
        raise InputError(f"images {first.shape}: SSIM needs sides of at least {MIN_SIDE} pixels")
    window = window_for(*first.shape[2:])
    mean_a, mean_b = _blur(first, window), _blur(second, window)
    var_a = _blur(first**2, window) - mean_a**2
    var_b = _blur(second**2, window) - mean_b**2
    covariance = _blur(first * second, window) - mean_a * mean_b
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    similarity: Floats = (luminance * structure).mean(axis=(1, 2, 3))
    return similarity
