"""Averaging many marked images against an image watermark."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop import modality
from threatloop.algorithms.laundering import UNDOES, eight_bits
from threatloop.core.assets import Dataset
from threatloop.core.attack import AttackInfo, DataToData, Direction, Workload
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable

FEWEST = 16


class Collusion(DataToData):
    """Subtract what marked images have in common and clean ones have not.

    Threat model: the attacker holds the marked images and clean ones of the same kind, and knows nothing of the scheme.
    The mean of the marked minus the mean of the clean images estimates a pattern that every image carries; in DCT
    coordinates each coefficient is shrunk by its own standard error, so that the difference of two samples is not taken
    for a mark. Works on schemes whose pattern is the same in every image; where it changes with the image, as in
    spread_spectrum, or is no addition, as in dwt_dct_svd, little is found and little is changed.

    Returns the images as uint8, same shape, labels and ids. Notes: ``pattern_rms`` (of the pattern subtracted, in
    grey levels of 0-255) and ``pattern_share`` (of the coefficients that were kept at all, in [0, 1]).

    Raises:
        NotAssessable: fewer than 16 marked or clean images.

    Paper: Yang et al. 2024, "Can simple averaging defeat modern watermarks?", arXiv 2406.09026, sec. 4; the shrinkage
    is ours.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Averaging of marked images",
        direction=Direction.DATA_TO_DATA,
        knowledge="many marked images, and clean images of the same kind; nothing of the scheme",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Yang et al. 2024, Can simple averaging defeat modern watermarks?, arXiv 2406.09026",
        baseline="identity",
        resources=frozenset({Resource.QUERY_POOL}),
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )

    strength: float = Field(default=1.0, gt=0, le=4, description="how many times the estimated pattern is subtracted")

    def work(self, workload: Workload) -> dict[str, float]:
        """Two means of transformed images."""
        return {"seconds": 0.2 + 2e-7 * workload.records * workload.width}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        import numpy as np

        from threatloop.algorithms.common_pattern import common_pattern

        pool, kind = bench.data(Resource.QUERY_POOL), modality.of(data.schema)
        if min(len(data), len(pool)) < FEWEST:
            raise NotAssessable(f"averaging needs {FEWEST} marked and clean images, got {len(data)} and {len(pool)}")
        marked, clean = kind.watermark_view(data.x, data.schema), kind.watermark_view(pool.x, pool.schema)
        pattern, share = common_pattern(marked, clean)
        bench.progress.note("pattern_rms", 255 * float(np.sqrt((pattern**2).mean())))
        bench.progress.note("pattern_share", share)
        return data.with_x(eight_bits(marked - np.float32(self.strength) * pattern))
