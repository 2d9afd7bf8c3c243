"""Removal of an image watermark by an attacker who may ask the owner's detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.laundering import RESOURCES, UNDOES, DecoyTuned, eight_bits
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.protection import Detector
from threatloop.core.step import AttackInfo, Direction

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Choice
    from threatloop.algorithms.laundering import Images
    from threatloop.algorithms.removal import Pipeline

LOOKS = 16
"""Sets that the budget must suffice for; with less, the detector is shown a part of the images."""


class DetectorRemoval(DecoyTuned):
    """Find the least distortion that escapes the owner's own detector.

    Threat model: as watermark_removal, and the attacker may show data to the owner's detector and read its z and p, at
    one query a record. His decoys tell him which pipelines are worth asking about; he asks in order of distortion, and
    from the first that escapes walks back to the marked images as far as the detector stays silent: first all images
    together, then by giving the most distorted ones back. With few queries he shows a random part of the images and
    scales z to the whole set, which leaves a chance of being caught. Where nothing escapes he uses what his decoys say.

    Returns the images as uint8, same shape, labels and ids. Notes: those of watermark_removal, ``detector_escaped``
    (0 or 1, by the answers), ``detector_shown`` (share of the images that were shown at once).

    Raises:
        NotAssessable: images too small, fewer than 16 auxiliary images.

    Paper: Cox & Linnartz 1998, "Some general methods for tampering with watermarks", IEEE JSAC 16(4); Comesaña,
    Pérez-Freire & Pérez-González 2006, "Blind Newton sensitivity attack", IEE Proc. Inf. Security 153(3). Theirs asks
    about single images; here the detector judges a set.

    Attributes:
        queries: records that the detector may be shown.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Watermark removal with the detector",
        direction=Direction.DATA_TO_DATA,
        knowledge="the marking scheme, not the key; clean images of the same kind; answers of the owner's detector",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Cox & Linnartz 1998, Some general methods for tampering with watermarks, IEEE JSAC 16(4)",
        baseline="identity",
        resources=RESOURCES | {Resource.DETECTOR},
        undoes=UNDOES,
        sweep="queries",
        atlas=("AML.T0043",),
    )

    queries: int = Field(default=20_000, ge=1, description="records that the detector may be shown")

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.detector_search import Walk

        marked = modality.of(data.schema).watermark_view(data.x, data.schema)
        choice = self.choose(data, bench)
        streams = bench.streams
        bench.progress.keep(data.with_x(eight_bits(choice.pipeline(marked, streams.numpy("removal")))))
        bench.progress.note("detector_escaped", 0.0)
        ask = self._question(data, bench)
        walk = Walk(ask, lambda images: _keep(bench, data, images))
        worth = self._worth_asking(choice)
        found = walk.first(pipeline(marked, streams.numpy("removal")) for pipeline in worth)
        if found is not None:
            walk.given_back(marked, walk.towards(marked, found))
        result: Dataset = bench.progress.best
        return result

    def _question(self, data: Dataset, bench: Bench) -> _Question:
        detector: Detector = bench.resource(Resource.DETECTOR)
        left = self.queries if detector.left is None else min(self.queries, detector.left)
        shown = int(np.clip(left // LOOKS, min(8, left, len(data)), len(data)))
        rows = np.sort(bench.streams.numpy("shown").permutation(len(data))[: max(shown, 1)])
        bench.progress.note("detector_shown", len(rows) / len(data))
        return _Question(detector, data, rows, self.false_positive_rate, self.caught)

    def _worth_asking(self, choice: Choice) -> list[Pipeline]:
        """Least distorting first, without those that the decoys rule out; in the end the one that they recommend."""
        from scipy.stats import norm

        limit = float(norm.isf(self.false_positive_rate)) + 2.0
        pairs = sorted(zip(choice.screening, choice.tried, strict=True), key=lambda pair: -pair[0].psnr_db)
        worth = [one for trial, one in pairs if trial.z_after <= limit and trial.psnr_db >= self.min_psnr]
        return [*worth, choice.pipeline]


class _Question:
    """Whether the detector is silent about these images."""

    def __init__(
        self,
        detector: Detector,
        data: Dataset,
        rows: np.ndarray[tuple[int], np.dtype[np.int64]],
        rate: float,
        caught: float,
    ) -> None:
        from scipy.stats import norm

        self.detector, self.data, self.rows, self.rate = detector, data, rows, rate
        self.scale = float(np.sqrt(len(data) / len(rows)))
        self.limit = float(norm.isf(rate) - norm.isf(caught))

    def __call__(self, images: Images) -> bool:
        part = self.data.take(self.rows).with_x(eight_bits(images[self.rows]))
        found = self.detector.detect(part)
        if len(self.rows) == len(self.data):
            return not found.detected(self.rate)
        return bool(self.scale * found.z_set <= self.limit)


def _keep(bench: Bench, data: Dataset, images: Images) -> None:
    bench.progress.keep(data.with_x(eight_bits(images)))
    bench.progress.note("detector_escaped", 1.0)
