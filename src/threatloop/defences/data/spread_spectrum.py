"""An invisible, keyed spread-spectrum watermark on images."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Detection, Marker, Stage


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

        images = modality.of(data.schema).watermark_view(data.x, data.schema)
        marked = embed(images, key, host_statistics(images), psnr_db=self.psnr_db)
        return data.with_x(np.rint(marked * 255).astype(np.uint8))

    def detect(self, data: Dataset, key: bytes, reference: Dataset) -> Detection:
        """Evidence of the mark, with host statistics from the reference."""
        from threatloop.algorithms.watermark import detect
        from threatloop.algorithms.watermark_host import host_statistics

        clean = modality.of(reference.schema).watermark_view(reference.x, reference.schema)
        found = detect(modality.of(data.schema).watermark_view(data.x, data.schema), key, host_statistics(clean))
        return Detection(found.z_set, found.p_set, np.asarray(found.p_per_image), found.bit_accuracy)
