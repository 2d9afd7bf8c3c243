"""How much of what an encoding hid has come back."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.numerics.image_quality import MIN_SIDE, psnr, ssim
from threatloop.numerics.intervals import Interval, mean_t

NAME = "decryption"
Floats = npt.NDArray[np.float32]


class Decryption(Metric):
    """Recovered images against the originals.

    Readings:
        ``decryption``: mean SSIM over the set, in [-1, 1]; 1 is every image as it was. The interval is over images.
        ``decryption.aligned``: the same where each image may be negated, mirrored or both, since what is missed by
            such a symmetry alone can still be seen. It takes the best of four, so compare it with its own value for
            the baseline.
        ``decryption.protected``: SSIM of the protected images as they are.
        ``decryption.psnr``: dB, of the squared error pooled over the set.
        ``decryption.accuracy``: on plain test records, of a model trained by the victim's recipe on what was recovered.
        ``decryption.key_holder``: the same, trained on the originals.
        ``decryption.as_is``: trained on the protected data, tested on protected test records.
    Records: ``ssim``, ``label``. Gallery: ``original``, ``protected``, ``recovered``.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="SSIM of recovered images",
        unit="ssim",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "original", "protected", "test"}),
        meaning="how much the recovered images look like those that the owner protected; 1 is identical",
        may_use=frozenset({"trained_on_outcome", "trained_on_original", "trained_on_protected", "protected_test"}),
    )

    def grade(self, case: Case) -> Graded:
        sets = {name: case.get(name, Dataset) for name in ("original", "protected", "outcome")}
        views = {name: modality.of(data.schema).watermark_view(data.x, data.schema) for name, data in sets.items()}
        original, outcome = views["original"], views["outcome"]
        if min(original.shape[2:]) < MIN_SIDE:
            height, width = original.shape[2:]
            raise NotAssessable(f"SSIM needs sides of at least {MIN_SIDE} pixels; these images have {height}×{width}")
        straight = ssim(outcome, original)
        others = (1 - outcome, outcome[..., ::-1], 1 - outcome[..., ::-1])
        aligned = np.max([straight, *(ssim(other, original) for other in others)], axis=0)
        readings = (
            _mean(NAME, straight),
            _mean(f"{NAME}.aligned", aligned),
            _mean(f"{NAME}.protected", ssim(views["protected"], original)),
            _pooled_psnr(outcome, original),
            self._accuracy("accuracy", "trained_on_outcome", "test", case),
            self._accuracy("key_holder", "trained_on_original", "test", case),
            self._accuracy("as_is", "trained_on_protected", "protected_test", case),
        )
        rows = case.streams.numpy("gallery").permutation(len(original))[:16]
        gallery = {name.replace("outcome", "recovered"): view[rows] for name, view in views.items()}
        return Graded(readings, records={"ssim": straight, "label": sets["original"].y}, gallery=gallery)

    def _accuracy(self, suffix: str, model: str, test: str, case: Case) -> Reading:
        from threatloop.algorithms.grading import predicted, rate

        name = f"{NAME}.{suffix}"
        if model not in case.truths or test not in case.truths:
            return Reading(name, None, 0, undefined="this scenario trains no such model")
        data = case.get(test, Dataset)
        right = predicted(case.get(model, Model), data, case) == data.y
        return rate(name, right, "there are no held-out records")


def _mean(name: str, values: npt.NDArray[np.float64]) -> Reading:
    inside = mean_t(values.tolist()) if len(values) > 1 else None
    low, high = (inside.low, inside.high) if isinstance(inside, Interval) else (None, None)
    return Reading(name, float(values.mean()), len(values), low, high)


def _pooled_psnr(outcome: Floats, original: Floats) -> Reading:
    """Of all pixels together, since the mean of decibels rewards a few perfect images."""
    a, b = (one.reshape(1, 1, -1, one.shape[-1]) for one in (outcome, original))
    value = float(psnr(a, b)[0])
    if not np.isfinite(value):
        return Reading(f"{NAME}.psnr", None, 0, undefined="the images are identical, so the PSNR is infinite")
    return Reading(f"{NAME}.psnr", value, len(outcome))
