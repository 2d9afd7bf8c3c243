"""Does the owner still find his mark?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.core.protection import Marker
from threatloop.numerics.intervals import Interval, wilson

OWNER = "owner"


class WatermarkEscapes(Metric):
    """Whether the set as a whole *escapes* detection, and how well single images and the payload survive.

    The headline is 1 when the owner's test over all images is no longer significant at the false-positive rate, so
    that larger is worse for the owner; it is one test a seed, so its n is 1. ``.z`` is the test's z over the set,
    ``.per_image`` the share of images that are found singly at the same rate, ``.bit_accuracy`` the share of payload
    bits recovered.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Mark escapes detection",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "original", "protected"}),
        meaning="share of seeds in which the owner's test at 1 % false positives no longer finds the mark in the set",
    )

    false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5)

    def grade(self, case: Case) -> Graded:
        outcome, original = case.get("outcome", Dataset), case.get("original", Dataset)
        if not isinstance(case.protection, Marker):
            raise NotAssessable("this protection leaves no mark that could be detected")
        found = case.protection.detect(outcome, case.keys[OWNER], original)
        escaped = float(not found.detected(self.false_positive_rate))
        singly = np.asarray(found.p_per_record) < self.false_positive_rate
        inside = wilson(int(singly.sum()), len(singly))
        low, high = (inside.low, inside.high) if isinstance(inside, Interval) else (None, None)
        n = len(outcome)
        name = "watermark_escapes"
        readings = (
            Reading(name, escaped, 1),
            Reading(f"{name}.z", float(found.z_set), n),
            Reading(f"{name}.per_image", float(singly.mean()), n, low, high),
            _bits(f"{name}.bit_accuracy", found.bit_accuracy, n),
        )
        return Graded(readings, gallery=self._gallery(case, outcome, original))

    def _gallery(self, case: Case, outcome: Dataset, original: Dataset) -> dict[str, npt.NDArray[np.float32]]:
        kind, marked = modality.of(outcome.schema), case.get("protected", Dataset)
        rows = case.streams.numpy("gallery").permutation(min(len(outcome), len(marked)))[:16]
        sets = {"original": original, "marked": marked, "attacked": outcome}
        return {name: kind.watermark_view(data.x[rows], data.schema) for name, data in sets.items()}


def _bits(name: str, found: float | None, n: int) -> Reading:
    return Reading(name, found, n, undefined="" if found is not None else "this mark has no payload")
