"""Pixel-based encryption: every pixel negated or not, and its colour channels shuffled."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.protection import Encoding, Structure


class PixelEncryption(Encoding):
    """Negates each channel of each pixel with probability ½ and shuffles the pixel's channels; nothing else moves.

    Any size of image, single pixels included. Images come out as uint8.

    Attributes:
        per_image: every record has a key of its own, from the owner's key and the record's number.

    Raises:
        NotAssessable: the records are no images.

    Sirichotedumrong, Kinoshita, Kiya 2019, "Pixel-based image encryption without key management for privacy-preserving
    deep neural networks", IEEE Access 7, sec. III.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Pixel-based encryption",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Sirichotedumrong, Kinoshita, Kiya 2019, Pixel-based image encryption, IEEE Access 7",
        atlas=("AML.M0012",),
    )

    per_image: bool = Field(default=False, description="every record has a key of its own")

    def structure(self) -> Structure:
        return Structure(colours=True, per_image=self.per_image)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=True)

    def open(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=False)

    def _changed(self, data: Dataset, key: bytes, *, encode: bool) -> Dataset:
        from threatloop.algorithms import encodings as e

        channels, height, width = e.stored_bytes(data.take(slice(0, 1))).shape[1:]
        pixels = height * width

        def made(number: int | None) -> e.SignedMap:
            rng = e.keyed(key, "pixel_encryption", number)
            order = np.argsort(rng.random((channels, pixels)), axis=0)
            return e.SignedMap((order * pixels + np.arange(pixels)).reshape(-1), rng.random(channels * pixels) < 0.5)

        return e.per_key(data, self.per_image, made, encode=encode)
