"""What the owner of a watermark knows about his images before marking them: DCT statistics of clean ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn

from threatloop.core.errors import InputError

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

SMALL_SIDE = 16  # below it the mark needs the whole spectrum above the hash to find enough coefficients
HIGHEST_FREQUENCY = 0.3  # cycles per pixel; higher ones die under a light blur
DESIGN_NOISE = 0.1  # per coefficient; variance floor: never rely on components that any noise would drown
LARGEST_COVARIANCE = 1024  # coefficients; beyond, the DCT is taken to have decorrelated the host
CHUNK_PIXELS = 1 << 22  # pixels handled at once: bounds memory on 224 x 224 batches


@dataclass(frozen=True, eq=False)
class HostStatistics:
    """What the owner knows about clean images of his kind, in DCT coordinates of the channel mean.

    Attributes:
        shape: (C, H, W) of the images.
        mean: (H, W) mean coefficient.
        std: (H, W) standard deviation of each coefficient.
        basis: (K, K) eigenvectors of the mark band's covariance in columns; None where K is too large.
        variance: (K,) variances along those columns (or of the coefficients), plus the design noise.
    """

    shape: tuple[int, int, int]
    mean: Floats
    std: Floats
    basis: Floats | None
    variance: Floats


def host_statistics(images: ArrayLike) -> HostStatistics:
    """Statistics of clean reference images (n, C, H, W) in [0, 1], n >= 2, sides >= 8. Raises InputError."""
    batch = check_images(images)
    if len(batch) < 2:
        raise InputError(f"watermark reference: {len(batch)} image; at least 2 clean images are needed")
    _, band = bands(batch.shape[2], batch.shape[3])
    spectrum = np.concatenate([to_spectrum(part) for part in chunks(batch)])
    mean, std = spectrum.mean(axis=0), spectrum.std(axis=0)
    variance, basis = std[band] ** 2, None
    n, k = len(batch), int(band.sum())
    if k <= LARGEST_COVARIANCE:
        centred = spectrum[:, band] - mean[band]
        shrinkage = 0.25 * k / (n + k)  # keeps the estimate well-posed when coefficients outnumber images
        covariance = (1 - shrinkage) * (centred.T @ centred) / n + shrinkage * np.diag(variance)
        variance, basis = np.linalg.eigh(covariance)
    shape = (batch.shape[1], batch.shape[2], batch.shape[3])
    return HostStatistics(shape, mean, std, basis, np.maximum(variance, 0) + DESIGN_NOISE**2)


def bands(height: int, width: int) -> tuple[Bits, Bits]:
    """(H, W) masks of the DCT coefficients that feed the hash and of those that carry the mark; they are disjoint."""
    u, v = np.mgrid[:height, :width]
    small = min(height, width) < SMALL_SIDE
    radius, limit = (2, 1.0) if small else (3, HIGHEST_FREQUENCY)
    low = np.hypot(u, v) <= radius
    frequency = np.hypot(u / (2 * height), v / (2 * width))
    hash_band = low.copy()
    hash_band[0, 0] = False  # brightness changes must not change the hash
    return hash_band, ~low & (frequency <= limit)


def check_images(images: ArrayLike, reference: HostStatistics | None = None) -> Images:
    """The images as float32 (n, C, H, W). InputError unless finite, in [0, 1], sides >= 8, of the right shape."""
    batch = np.asarray(images, dtype=np.float32)
    if batch.ndim != 4 or min(batch.shape[2:]) < 8 or batch.shape[1] < 1:
        raise InputError(f"images: shape {batch.shape}; expected (n, channels, height, width) with sides >= 8")
    if not np.isfinite(batch).all() or (batch.size and (batch.min() < 0 or batch.max() > 1)):
        raise InputError("images: values outside [0, 1] or not finite; scale the pixels to [0, 1] first")
    if reference is not None and batch.shape[1:] != reference.shape:
        raise InputError(f"images: shape {batch.shape[1:]} differs from the watermark reference's {reference.shape}")
    return batch


def to_spectrum(images: Images) -> Floats:
    """(n, H, W) orthonormal DCT-II of the mean over channels."""
    result: Floats = dctn(images.mean(axis=1, dtype=np.float64), axes=(1, 2), norm="ortho")
    return result


def chunks(images: Images) -> Iterator[Images]:
    """Consecutive parts of a batch that fit in memory together with their spectra."""
    size = max(1, CHUNK_PIXELS // max(1, int(np.prod(images.shape[1:]))))
    return (images[i : i + size] for i in range(0, len(images), size))
