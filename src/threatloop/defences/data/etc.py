"""Encryption-then-compression: whole blocks moved, turned, negated and recoloured."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.protection import Encoding, Structure


class EncryptionThenCompression(Encoding):
    """Moves blocks about the image; rotates, flips, negates each and shuffles its colour channels.

    What is inside a block stays an image, so that JPEG still compresses it. Pixels beyond the last whole block, right
    and
    below, stay in clear: choose a block that divides the image. Images come out as uint8.

    Attributes:
        block: side in pixels, ≥ 1 and at most the image's shorter side. The paper has 8 and 16, for large photographs;
            learning on small images uses 4.
        per_image: every record has a key of its own, from the owner's key and the record's number.

    Raises:
        NotAssessable: no whole block fits, or the records are no images.

    Chuman, Sirichotedumrong, Kiya 2019, "Encryption-then-compression systems using grayscale-based image encryption for
    JPEG images", IEEE TIFS 14(6), arXiv 1811.00236, sec. II (the conventional block scrambling described there, on
    colour or grey channels as they are).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Encryption-then-compression (EtC)",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Chuman, Sirichotedumrong, Kiya 2019, Encryption-then-compression systems, arXiv 1811.00236",
        atlas=("AML.M0012",),
    )

    block: int = Field(default=4, ge=1, description="side in pixels")
    per_image: bool = Field(default=False, description="every record has a key of its own")

    def structure(self) -> Structure:
        return Structure(self.block, "blocks", colours=True, per_image=self.per_image)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=True)

    def open(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=False)

    def _changed(self, data: Dataset, key: bytes, *, encode: bool) -> Dataset:
        from threatloop.algorithms import encodings as e

        shape = e.stored_bytes(data.take(slice(0, 1))).shape[1:]
        e.check_side(np.empty((0, *shape)), self.block)

        def made(number: int | None) -> e.SignedMap:
            """The map of one key over a flat image: the image of every pixel's number, scrambled."""
            rng, side = e.keyed(key, "etc", number), self.block
            numbered: npt.NDArray[np.int64] = np.arange(int(np.prod(shape))).reshape(1, *shape)
            blocks = e.cut(numbered, side).reshape(-1, shape[0], side, side)
            order = rng.permutation(len(blocks))
            turned = np.stack([_turned(blocks[at], rng) for at in order])
            flags = np.broadcast_to((rng.random(len(blocks)) < 0.5)[:, None], (len(blocks), shape[0] * side * side))
            down, right = shape[1] // side, shape[2] // side
            index = e.paste(turned.reshape(1, down, right, -1), numbered, side)
            negate = e.paste(flags.reshape(1, down, right, -1), np.zeros((1, *shape), bool), side)
            return e.SignedMap(index.reshape(-1), negate.reshape(-1))

        return e.per_key(data, self.per_image, made, encode=encode)


def _turned(block: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One block (C, side, side) rotated, flipped and with its channels shuffled."""
    turned = np.rot90(block, int(rng.integers(4)), axes=(1, 2))
    turned = turned[:, :, ::-1] if rng.random() < 0.5 else turned
    return turned[rng.permutation(len(block))]
