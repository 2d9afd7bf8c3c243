"""What protected-data encodings share: blocks, half bytes, and keyed maps that move and negate elements.

Every scheme that only moves and negates is one `SignedMap` per key; a key holder inverts it, and an attacker looks for
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable

Bytes = npt.NDArray[np.uint8]
Array = TypeVar("Array", bound=npt.NDArray[Any])
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
BYTE, NIBBLE = 255, 15
"""The largest value of an element: a pixel's channel, or half of its bits."""


@dataclass(frozen=True, eq=False)
class SignedMap:
    """A permutation of d elements with some of them negated: ``out[j] = x[index[j]]``, or ``top`` minus it.

    Attributes:
        index: int64 (d,), a permutation.
        negate: bool (d,), of the encoded elements.
        top: the largest value of an element.
    """

    index: Index
    negate: Mask
    top: int = BYTE

    def apply(self, rows: Bytes) -> Bytes:
        """Encode rows (n, d)."""
        out = rows[:, self.index]
        return np.where(self.negate, np.uint8(self.top) - out, out)

    def invert(self, rows: Bytes) -> Bytes:
        """Decode rows (n, d)."""
        out = np.empty_like(rows)
        out[:, self.index] = np.where(self.negate, np.uint8(self.top) - rows, rows)
        return out


def keyed(key: bytes, scheme: str, number: int | None = None) -> np.random.Generator:
    """The key's random stream for a scheme; one of its own for every record number where one is given."""
    text = b"\x1f".join((key, scheme.encode(), b"" if number is None else str(number).encode()))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little"))


def numbers(data: Dataset) -> list[int]:
    """What per-record keys hang on: the record's number, or below zero its position where it has none."""
    return [int(found) if found >= 0 else -1 - i for i, found in enumerate(data.ids)]


def stored_bytes(data: Dataset) -> Bytes:
    """The records as 8-bit images (n, C, H, W), as an encoder reads them; floats are rounded.

    Raises:
        NotAssessable: the records are no images.
    """
    view = modality.of(data.schema).watermark_view(data.x, data.schema)
    return np.rint(np.clip(view, 0, 1) * BYTE).astype(np.uint8)


def check_side(images: npt.NDArray[Any], side: int) -> None:
    """Raises NotAssessable where not one whole block fits."""
    height, width = images.shape[2:]
    if side > min(height, width):
        raise NotAssessable(f"block {side} does not fit images of {height}×{width}; set it to at most their short side")


def per_key(data: Dataset, per_image: bool, made: Callable[[int | None], SignedMap], *, encode: bool) -> Dataset:
    """Every image by one map, or each by the map of its own key. ``made`` gives a key's map over flat images."""
    images = stored_bytes(data)
    rows = images.reshape(len(images), -1)
    if per_image:
        maps = [made(number) for number in numbers(data)]
        parts = [(m.apply if encode else m.invert)(row[None]) for m, row in zip(maps, rows, strict=True)]
        out = np.concatenate(parts) if parts else rows
    else:
        one = made(None)
        out = (one.apply if encode else one.invert)(rows)
    return data.with_x(out.reshape(images.shape))


def cut(images: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Whole blocks of the images, row by row: (n, rows, columns, C·side·side), each block in (C, y, x) order."""
    n, channels, height, width = images.shape
    down, right = height // side, width // side
    whole = images[:, :, : down * side, : right * side].reshape(n, channels, down, side, right, side)
    return whole.transpose(0, 2, 4, 1, 3, 5).reshape(n, down, right, channels * side * side)


def paste(blocks: Array, onto: Array, side: int) -> Array:
    """A copy of the images with their whole blocks replaced; what lies beyond the last whole block stays."""
    n, channels = onto.shape[:2]
    down, right = blocks.shape[1:3]
    whole = blocks.reshape(n, down, right, channels, side, side).transpose(0, 3, 1, 4, 2, 5)
    out = onto.copy()
    out[:, :, : down * side, : right * side] = whole.reshape(n, channels, down * side, right * side)
    return out


def split_nibbles(blocks: Bytes) -> Bytes:
    """(..., d) bytes to (..., 2d) half bytes: all upper halves, then all lower."""
    return np.concatenate([blocks >> 4, blocks & 15], axis=-1)


def join_nibbles(halves: Bytes) -> Bytes:
    """The way back from `split_nibbles`."""
    d = halves.shape[-1] // 2
    return np.asarray((halves[..., :d] << 4) | halves[..., d:], dtype=np.uint8)
