"""Images for the gallery: PNG grids, and what is shown in place of private ones."""

from __future__ import annotations

import hashlib
import io
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from threatloop.core.errors import InputError

COLUMNS: Final = 8
MOST: Final = 64
"""Images drawn of one batch; a grid of 8 × 8 shows what there is to see."""
_GAP: Final = 1
_RASTER: Final = (4, 3)
"""Mean colours that are left of a private grid. Blurring small images is reversible; this few numbers are not."""


def png_grid(images: npt.NDArray[np.floating[Any]]) -> bytes:
    """The first 64 images as one PNG, eight to a row, a white pixel between them.

    Args:
        images: shape (n, channels, height, width), channels 1 or 3, values in [0, 1] (cut to it).

    Raises:
        InputError: another shape, or no image.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise InputError(f"gallery: expected images of shape (n, 1 or 3, height, width), got {images.shape}")
    batch = np.nan_to_num(np.asarray(images[:MOST], dtype=np.float64))
    pixels = np.round(np.clip(batch, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    columns = min(COLUMNS, len(pixels))
    _, height, width, channels = pixels.shape
    shape = (math.ceil(len(pixels) / columns) * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, channels)
    canvas = np.full(shape, 255, dtype=np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        canvas[top : top + height, left : left + width] = image
    return _png(Image.fromarray(canvas[..., 0] if channels == 1 else canvas))


def blurred(png: bytes, where: str) -> bytes:
    """What a report may show of a private image: twelve mean colours, smoothly joined.

    Raises:
        InputError: ``png`` is not an image; ``where`` names it.
    """
    image = opened(png, where).convert("RGB")
    size = (min(image.width * 2, 320), max(1, round(min(image.width * 2, 320) * image.height / image.width)))
    return _png(image.resize(_RASTER, Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC))


def opened(png: bytes, where: str) -> Image.Image:
    """The decoded image.

    Raises:
        InputError: it cannot be decoded.
    """
    try:
        image = Image.open(io.BytesIO(png), formats=["PNG"])
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: is not a readable PNG ({error}); run the audit again") from None
    return image


def fingerprint(content: bytes) -> str:
    """A short digest by which two parties can tell whether they talk about the same image."""
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
