"""Learnable encryption: half bytes shuffled and negated inside blocks, by one key."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.protection import Encoding, Structure


class BlockScramble(Encoding):
    """Splits every block into upper and lower half bytes, negates some of them, and shuffles them all.

    One key for all blocks and images, so that a network can still learn from what comes out. Pixels beyond the last
    whole
    block, right and below, stay in clear: choose a block that divides the image. Images come out as uint8.

    Attributes:
        block: side in pixels, ≥ 1 and at most the image's shorter side.

    Raises:
        NotAssessable: no whole block fits, or the records are no images.

    Tanaka 2018, "Learnable image encryption", arXiv 1804.00490, sec. 2 (there with blocks of 4 pixels).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Block scrambling (learnable encryption)",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Tanaka 2018, Learnable image encryption, arXiv 1804.00490",
        atlas=("AML.M0012",),
    )

    block: int = Field(default=4, ge=1, description="side in pixels")

    def structure(self) -> Structure:
        return Structure(self.block, "pixels", halves=True)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=True)

    def open(self, data: Dataset, key: bytes) -> Dataset:
        return self._changed(data, key, encode=False)

    def _changed(self, data: Dataset, key: bytes, *, encode: bool) -> Dataset:
        from threatloop.algorithms import encodings as e

        images = e.stored_bytes(data)
        e.check_side(images, self.block)
        halves = e.split_nibbles(np.asarray(e.cut(images, self.block), np.uint8))
        rng, d = e.keyed(key, "block_scramble"), halves.shape[-1]
        scheme = e.SignedMap(rng.permutation(d), np.asarray(rng.random(d) < 0.5), e.NIBBLE)
        rows = (scheme.apply if encode else scheme.invert)(halves.reshape(-1, d))
        return data.with_x(e.paste(e.join_nibbles(rows.reshape(halves.shape)), images, self.block))
