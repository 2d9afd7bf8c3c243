"""The keyed map behind an encoding, read off pairs of records before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from threatloop.algorithms.encodings import Bytes, Index, Mask, SignedMap, cut, join_nibbles, paste, split_nibbles
from threatloop.core.protection import Structure

MOST_ROWS = 20000
"""Rows that columns are compared on; the chance of a false match is nil long before."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Images as rows that a shared key maps alike: blocks of half bytes, or whole images of bytes.

    Attributes:
        structure: of the encoding; without keys per image.
    """

    structure: Structure

    @property
    def top(self) -> int:
        """The largest value of an element."""
        return 15 if self.structure.halves else 255

    def rows(self, images: Bytes) -> Bytes:
        """Images (n, C, H, W) as rows (m, d)."""
        if self.structure.moved != "pixels":
            return images.reshape(len(images), -1)
        blocks = np.asarray(cut(images, self.structure.side), np.uint8)
        blocks = split_nibbles(blocks) if self.structure.halves else blocks
        return blocks.reshape(-1, blocks.shape[-1])

    def images(self, rows: Bytes, like: Bytes) -> Bytes:
        """The way back; what lies outside the rows is taken from ``like``."""
        if self.structure.moved != "pixels":
            return rows.reshape(like.shape)
        rows = join_nibbles(rows) if self.structure.halves else rows
        side = self.structure.side
        down, right = like.shape[2] // side, like.shape[3] // side
        return paste(rows.reshape(len(like), down, right, -1), like, side)


def read_map(plain: Bytes, coded: Bytes, top: int) -> SignedMap:
    """The signed permutation that takes rows (n, d) to rows (n, d), n ≥ 1.

    Columns that are equal, or each other's negative, in all rows belong together. What no column explains exactly, as
    after lossy storage, goes where the correlation is largest over all such columns (Hungarian method).
    """
    plain, coded = plain[:MOST_ROWS], coded[:MOST_ROWS]
    d = plain.shape[1]
    free: dict[bytes, list[int]] = {}
    for i in reversed(range(d)):
        free.setdefault(plain[:, i].tobytes(), []).append(i)
    index, negate = np.full(d, -1, np.int64), np.zeros(d, bool)
    for j in range(d):
        for flip in (False, True):
            column = (np.uint8(top) - coded[:, j]) if flip else coded[:, j]
            if found := free.get(column.tobytes()):
                index[j], negate[j] = found.pop(), flip
                break
    _rest(plain, coded, index, negate)
    return SignedMap(index, negate, top)


def _rest(plain: Bytes, coded: Bytes, index: Index, negate: Mask) -> None:
    """Match what is left by correlation, in place."""
    open_coded = np.flatnonzero(index < 0)
    if not len(open_coded):
        return
    open_plain = np.setdiff1d(np.arange(plain.shape[1]), index)
    agreement = _unit(coded[:, open_coded]).T @ _unit(plain[:, open_plain])
    rows, columns = linear_sum_assignment(-np.abs(agreement))
    index[open_coded[rows]] = open_plain[columns]
    negate[open_coded[rows]] = agreement[rows, columns] < 0


def _unit(rows: Bytes) -> npt.NDArray[np.float32]:
    """Centred columns of length 1; constant ones are 0."""
    centred = rows.astype(np.float32) - rows.mean(axis=0, dtype=np.float32)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-6), np.float32)
