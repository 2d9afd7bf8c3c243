"""What an attack on images costs in quality."""

from __future__ import annotations

from typing import ClassVar

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.numerics.image_quality import psnr, ssim


class ImageQuality(Metric):
    """PSNR and SSIM of the outcome against the original images, averaged over the set.

    PSNR is of the pooled squared error, since the mean of decibels rewards a few untouched images. ``.ssim`` is in
    [-1, 1]; ``.marked_psnr`` is the marked images' own PSNR, what the owner's mark cost.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="PSNR to the original",
        unit="dB",
        worst=None,
        margin=1.0,
        needs=frozenset({"outcome", "original", "protected"}),
        meaning="how close the laundered images are to what the owner had before he marked them",
    )

    def grade(self, case: Case) -> Graded:
        sets = {name: case.get(name, Dataset) for name in ("outcome", "original", "protected")}
        views = {name: modality.of(data.schema).watermark_view(data.x, data.schema) for name, data in sets.items()}
        n = len(sets["outcome"])
        return Graded(
            (
                self._psnr("image_quality", views["outcome"], views["original"], n),
                Reading("image_quality.ssim", float(ssim(views["outcome"], views["original"]).mean()), n),
                self._psnr("image_quality.marked_psnr", views["protected"], views["original"], n),
            )
        )

    def _psnr(self, name: str, a: object, b: object, n: int) -> Reading:
        import numpy as np

        x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
        value = float(np.asarray(psnr(x.reshape(1, -1, *x.shape[2:]), y.reshape(1, -1, *y.shape[2:])))[0])
        if not np.isfinite(value):
            return Reading(name, None, n, undefined="the images are identical, so the PSNR is infinite")
        return Reading(name, value, n)
