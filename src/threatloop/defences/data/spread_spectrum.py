"""An invisible, keyed spread-spectrum watermark on images."""

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

SMALLEST_SIDE = 8


class SpreadSpectrum(Marker):
    """Marks every image in a middle band of its DCT; see `threatloop.algorithms.watermark`.

    Attributes:
        psnr_db: distortion bound per image after 8-bit rounding, in dB.

    Cox, Kilian, Leighton, Shamoon 1997, "Secure spread spectrum watermarking for multimedia", IEEE TIP 6(12).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Spread-spectrum watermark",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Cox, Kilian, Leighton, Shamoon 1997, Secure spread spectrum watermarking for multimedia, IEEE TIP 6(12)",
        atlas=("AML.M0007",),
    )

    psnr_db: float = Field(default=36.0, ge=30, le=60)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        """The marked images, as uint8."""
        from threatloop.algorithms.watermark import embed
        from threatloop.algorithms.watermark_host import host_statistics

        images = _view(data)
        marked = embed(images, key, host_statistics(images), psnr_db=self.psnr_db)
        return data.with_x(np.rint(marked * 255).astype(np.uint8))

    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        """Evidence of the mark, with host statistics from the reference."""
        from threatloop.algorithms.watermark import detect
        from threatloop.algorithms.watermark_host import host_statistics

        found = detect(_view(data), key, host_statistics(_view(reference)))
        return Detection(found.z_set, found.p_set, np.asarray(found.p_per_image), found.bit_accuracy)


def _view(data: Dataset) -> npt.NDArray[np.float32]:
    """The images as the mark sees them.

    Raises:
        NotAssessable: no images, or smaller than `SMALLEST_SIDE`.
    """
    images = modality.of(data.schema).watermark_view(data.x, data.schema)
    if min(images.shape[2:]) < SMALLEST_SIDE:
        raise NotAssessable(
            f"spread_spectrum needs images of at least {SMALLEST_SIDE}×{SMALLEST_SIDE} pixels; these have "
            f"{images.shape[2]}×{images.shape[3]}"
        )
    return images
