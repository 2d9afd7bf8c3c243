"""Keyed, invisible, redundant spread-spectrum mark for batches of images, with exact false-positive control.

Every image carries one of 64 keyed sign patterns in a middle band of its DCT. Which one is decided by a keyed hash
of its lowest frequencies (strictly below the mark's band), so that a mean that all images share cannot pose as a mark
and averaging images does not reveal the pattern (Fridrich & Goljan 2000, "Robust hash functions for digital
watermarking"). The payload flips the sign of the coefficients that carry each bit; it is spread over all images.

Embedding takes the whole distortion budget (PSNR after 8-bit rounding) and works against the host's own statistics:
spread spectrum (Cox, Kilian, Leighton & Shamoon 1997, IEEE TIP 6(12)) in coordinates where the host's covariance is
diagonal, with more energy where the host is quiet. That answers the host interference which limits the
plain correlator (Malvar & Florencio 2003, IEEE TSP 51(4), "Improved spread spectrum") without their per-image
cancellation: at a fixed PSNR per image, cancelling costs mark energy.

Detection divides the keyed correlation by its exact standard deviation over random keys *given the images*. So its mean
is 0 and its variance 1 on unmarked images and on images marked under another key, whatever their distribution, and
its tails are no heavier than normal ones to second order (a sum of independent signs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import idctn
from scipy.stats import norm

from threatloop.algorithms.watermark_host import (
    Bits,
    Floats,
    HostStatistics,
    Images,
    bands,
    check_images,
    chunks,
    host_statistics,
    to_spectrum,
)
from threatloop.core.errors import InputError

__all__ = ["Detection", "HostStatistics", "at_psnr", "detect", "embed", "host_statistics"]

HASH_BITS = 6  # 64 patterns: more decorrelate the images better, but each hash bit is one more that noise can flip
SHAPING = -0.25  # amplitude ~ host variance ** SHAPING
PAYLOAD_BITS = 16


@dataclass(frozen=True, eq=False)
class Detection:
    """Evidence that images carry the mark of a key. All z are N(0, 1) and all p uniform where they do not.

    Attributes:
        z_per_image, p_per_image: (n,) evidence of every single image (one-sided p).
        z_set, p_set: evidence of the n images together.
        bits: (P,) payload read from the whole set.
        bit_accuracy: share of `bits` that agree with the owner's payload; about .5 without a mark.
    """

    z_per_image: Floats
    p_per_image: Floats
    z_set: float
    p_set: float
    bits: Bits
    bit_accuracy: float

    def detected(self, false_positive_rate: float = 0.01) -> bool:
        """Whether the set counts as marked at this false-positive rate, in (0, 1)."""
        return self.p_set <= false_positive_rate


def embed(
    images: ArrayLike,
    key: bytes,
    reference: HostStatistics,
    psnr_db: float = 36.0,
    payload: Sequence[int] | Bits | None = None,
) -> Images:
    """Mark every image with the largest strength that keeps its PSNR, after 8-bit rounding, at `psnr_db` or above.

    Args:
        images: (n, C, H, W) in [0, 1], of the reference's shape.
        key: the owner's secret, not empty.
        reference: statistics of clean images of the same kind.
        psnr_db: distortion bound per image, in dB (peak 1), 20 to 60.
        payload: bits to carry; by default `PAYLOAD_BITS` bits derived from the key.

    Returns:
        Marked images, float32 multiples of 1/255 in [0, 1].

    Raises:
        InputError: wrong shape, range, key, payload or PSNR.
    """
    batch, bits = check_images(images, reference), _payload(payload, key, reference)
    if not 20 <= psnr_db <= 60:
        raise InputError(f"watermark psnr_db: {psnr_db}; allowed are 20 to 60 dB")
    parts = [_embed_part(part, key, reference, psnr_db, bits) for part in chunks(batch)]
    return np.concatenate(parts) if parts else batch.copy()


def detect(
    images: ArrayLike, key: bytes, reference: HostStatistics, payload: Sequence[int] | Bits | None = None
) -> Detection:
    """Test images (n, C, H, W) in [0, 1], n >= 1, for the mark of `key` with `payload` (as given to `embed`).

    Raises:
        InputError: wrong shape, range, key or payload; no image.
    """
    batch, bits = check_images(images, reference), _payload(payload, key, reference)
    if not len(batch):
        raise InputError("watermark detection: no image; at least 1 is needed")
    signs, slots = _patterns(key, len(reference.variance), len(bits))
    flips = _flips(bits)[slots]
    pooled, z_images = np.zeros(signs.shape), []
    for part in chunks(batch):
        spectrum = to_spectrum(part)
        bucket = _bucket(spectrum, key, reference)
        evidence = _evidence(spectrum, reference)
        length = np.sqrt((evidence**2).sum(axis=1)) + 1e-12
        z_images.append((evidence * (signs * flips)[bucket]).sum(axis=1) / length)
        np.add.at(pooled, bucket, evidence / length[:, None])
    return _judge(np.concatenate(z_images), pooled, signs, slots, bits)


def _judge(z: Floats, pooled: Floats, signs: NDArray[np.int8], slots: NDArray[np.int64], bits: Bits) -> Detection:
    products, energy = pooled * signs, pooled**2
    per_bit = np.bincount(slots.ravel(), products.ravel(), minlength=len(bits))
    z_set = float(per_bit @ _flips(bits) / np.sqrt(energy.sum() + 1e-24))
    read = per_bit > 0
    return Detection(z, norm.sf(z), z_set, float(norm.sf(z_set)), read, float((read == bits).mean()))


def _embed_part(images: Images, key: bytes, reference: HostStatistics, psnr_db: float, bits: Bits) -> Images:
    signs, slots = _patterns(key, len(reference.variance), len(bits))
    patterns = (signs * _flips(bits)[slots] * reference.variance**SHAPING).astype(np.float32)
    patterns /= np.sqrt((patterns[0] ** 2).mean())
    bucket, marked = _bucket(to_spectrum(images), key, reference), images
    for _ in range(4):  # clipping leaks into the hash's band: mark again until the detector finds the same pattern
        marked = at_psnr(images, _to_pixels(patterns[bucket], reference), psnr_db)
        found = _bucket(to_spectrum(marked), key, reference)
        if (found == bucket).all():
            break
        bucket = found
    return marked


def at_psnr(images: Images, pattern: Images, psnr_db: float) -> Images:
    """images + t * pattern, clipped and rounded, with the largest t per image that respects the distortion bound.

    For a box constraint that is also the best use of the budget: clip(x + t p) solves max <p, d> subject to
    |d|^2 <= budget and 0 <= x + d <= 1 (its KKT conditions).
    """
    low, high = np.zeros(len(images), np.float32), np.full(len(images), 0.25, np.float32)
    best, bound = np.round(images * 255) / np.float32(255), 10 ** (-psnr_db / 10)
    for _ in range(12):
        middle = (low + high) / 2
        trial = np.clip(images + middle[:, None, None, None] * pattern, 0, 1)
        trial = np.round(trial * 255) / np.float32(255)
        fits = ((trial - images) ** 2).mean(axis=(1, 2, 3)) <= bound
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        best[fits] = trial[fits]
    return best


def _to_pixels(coordinates: Images, reference: HostStatistics) -> Images:
    """Whitening coordinates (n, K) to pixel patterns (n, 1, H, W), the same in every channel."""
    _, band = bands(*reference.shape[1:])
    spectrum = np.zeros((len(coordinates), *band.shape), np.float32)
    basis = reference.basis
    spectrum[:, band] = coordinates if basis is None else coordinates @ basis.T.astype(np.float32)
    pixels: Images = idctn(spectrum, axes=(1, 2), norm="ortho")[:, None]
    return pixels


def _evidence(spectrum: Floats, reference: HostStatistics) -> Floats:
    """(n, K) centred, whitened coordinates, weighted for the linear detector that is best in Gaussian host noise."""
    _, band = bands(*reference.shape[1:])
    centred = spectrum[:, band] - reference.mean[band]
    rotated = centred if reference.basis is None else centred @ reference.basis
    weighted: Floats = rotated * reference.variance ** (SHAPING - 1)
    return weighted


def _bucket(spectrum: Floats, key: bytes, reference: HostStatistics) -> NDArray[np.int64]:
    """(n,) which of the 2**HASH_BITS patterns each image takes: signs of keyed low-frequency projections."""
    band, _ = bands(*reference.shape[1:])
    standard = ((spectrum - reference.mean) / np.maximum(reference.std, 1e-3))[:, band]
    projected = standard @ _key_signs(key, b"hash", (standard.shape[1], HASH_BITS))
    result: NDArray[np.int64] = (projected > 0) @ (1 << np.arange(HASH_BITS))
    return result


def _patterns(key: bytes, coefficients: int, bits: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """(2**HASH_BITS, K) keyed signs, and the payload bit that each coefficient of each pattern carries."""
    count = 1 << HASH_BITS
    slots = (np.arange(coefficients) + 7 * np.arange(count)[:, None]) % bits
    return _key_signs(key, b"mark", (count, coefficients)), slots


@lru_cache(maxsize=32)
def _key_signs(key: bytes, purpose: bytes, shape: tuple[int, int]) -> NDArray[np.int8]:
    """(shape) of +-1 from SHAKE-256: the same on every platform and numpy version, useless without the key."""
    count = shape[0] * shape[1]
    stream = hashlib.shake_256(len(key).to_bytes(8, "big") + key + purpose).digest((count + 7) // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count)
    signs = (2 * bits.astype(np.int8) - 1).reshape(shape)
    signs.setflags(write=False)
    return signs


def _payload(payload: Sequence[int] | Bits | None, key: bytes, reference: HostStatistics) -> Bits:
    if not isinstance(key, bytes) or not key:
        raise InputError("watermark key: must be bytes and not empty")
    if payload is None:
        return np.asarray(_key_signs(key, b"payload", (1, PAYLOAD_BITS))[0] > 0, dtype=np.bool_)
    bits, room = np.asarray(payload), len(reference.variance)
    if bits.ndim != 1 or not 1 <= len(bits) <= room or not np.isin(bits, (0, 1)).all():
        raise InputError(f"watermark payload: must be a list of 1 to {room} bits, each 0 or 1")
    return bits.astype(bool)


def _flips(bits: Bits) -> NDArray[np.int64]:
    return 2 * bits.astype(np.int64) - 1
