"""An invisible watermark that small networks write and read."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Detection, Marker

SMALLEST_SIDE = 16
"""Below it the mark is not to be relied on: on 500 8×8 digits at 36 dB .40 to .94 of the bits came back, over about 13
settings of the training."""
FEWEST_IMAGES = 16


class LearnedMark(Marker):
    """Trains an encoder and a decoder on the clean images, from the key; see `threatloop.algorithms.learned_mark`.

    The reference that `detect` gets must be the records that were protected: on others, other networks come out, and
    the mark is not seen. p-values are exact over random payloads of 30 bits, so that p is never below 2^-30.

    Attributes:
        psnr_db: distortion bound per image after 8-bit rounding, in dB.

    Raises:
        NotAssessable: fewer than 16 images, or sides below 16 pixels, where too few bits came back to rely on.

    Zhu, Kaplan, Johnson & Fei-Fei 2018, "HiDDeN: hiding data with deep networks", arXiv 1807.09937.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Learned watermark",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Zhu, Kaplan, Johnson & Fei-Fei 2018, HiDDeN: hiding data with deep networks, arXiv 1807.09937",
        atlas=("AML.M0007",),
    )

    psnr_db: float = Field(default=36.0, ge=30, le=60)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        """The marked images, as uint8."""
        from threatloop.algorithms.learned_mark import learned_mark

        images = _images(data)
        marked = learned_mark(_trainable(images), key, self.psnr_db).embed(images, self.psnr_db)
        return data.with_x(np.rint(marked * 255).astype(np.uint8))

    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        """Evidence of the mark, by the networks trained on the reference."""
        from threatloop.algorithms.learned_mark import learned_mark

        found = learned_mark(_trainable(_images(reference)), key, self.psnr_db).detect(_images(data))
        return Detection(found.z_set, found.p_set, found.p_per_image, found.bit_accuracy)


def _images(data: Dataset) -> npt.NDArray[np.float32]:
    return modality.of(data.schema).watermark_view(data.x, data.schema)


def _trainable(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = images.shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        raise NotAssessable(
            f"learned_mark needs images of at least {SMALLEST_SIDE} pixels a side; got {height}×{width}"
        )
    if len(images) < FEWEST_IMAGES:
        raise NotAssessable(f"learned_mark trains on the clean images: needs {FEWEST_IMAGES}, got {len(images)}")
    return images
