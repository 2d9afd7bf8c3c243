"""Removal of an invisible image watermark, tuned on decoys of the attacker's own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.attack import AttackInfo, DataToData, Direction, Workload
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable

SMALLEST_SIDE = 8
FEWEST_AUXILIARY = 16


class WatermarkRemoval(DataToData):
    """Launder marked images so that their owner's detector no longer fires.

    Threat model: the attacker holds the marked images and clean images of the same kind with marks of his own making.
    He knows the marking scheme but not the owner's key, and never sees an answer of the owner's detector. He embeds
    decoy marks under his own keys, tries quantisation, compression, blur, noise, median filters, erasure of the mark's
    band, regeneration by a denoising autoencoder and combinations of them, and uses on the stolen images the pipeline
    that distorts least among those that blind his own detector.

    Returns the images as uint8, same labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``, ``decoy_psnr`` (dB),
    ``decoy_removed`` (0 or 1), and the regenerator's loss.

    Raises:
        NotAssessable: images smaller than 8 pixels a side, or fewer than 16 auxiliary images.

    Paper: Zhao et al. 2023, "Invisible image watermarks are provably removable using generative AI", arXiv 2306.01953,
    sec. 4 (regeneration); Cayre, Fontaine & Furon 2005, IEEE TSP 53(10) (attacker's knowledge).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Watermark removal",
        direction=Direction.DATA_TO_DATA,
        knowledge="the marking scheme, not the key; clean images of the same kind; no access to the owner's detector",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Zhao et al. 2023, Invisible image watermarks are provably removable, arXiv 2306.01953",
        baseline="identity",
        resources=frozenset({Resource.QUERY_POOL, Resource.PROTECTION}),
        undoes=("spread_spectrum",),
        atlas=("AML.T0043",),
    )

    false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5, description="of the detector that must be escaped")
    min_psnr: float = Field(default=10.0, ge=0, description="dB against the marked images; more distortion is useless")
    caught: float = Field(default=0.05, gt=0, lt=0.5, description="chance of still being detected that is accepted")
    most_auxiliary: int = Field(default=2000, ge=FEWEST_AUXILIARY, description="auxiliary images that are used at most")

    def work(self, workload: Workload) -> dict[str, float]:
        """Mostly the denoiser; about 1.5 s for 8×8 pixels and 25 s for 28×28, measured on one core."""
        return {"seconds": 1.0 + 0.03 * min(workload.width, 4096)}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from scipy.stats import norm

        from threatloop.algorithms.decoy import DecoyBudget, choose_on_decoy

        pool = bench.data(Resource.QUERY_POOL)
        kind, rng = modality.of(data.schema), bench.streams.numpy("decoy")
        auxiliary = kind.watermark_view(pool.x[: self.most_auxiliary], pool.schema)
        if min(auxiliary.shape[2:]) < SMALLEST_SIDE or len(auxiliary) < FEWEST_AUXILIARY:
            height, width = auxiliary.shape[2:]
            raise NotAssessable(
                f"removal is tuned on decoys: needs {FEWEST_AUXILIARY} auxiliary images of at least "
                f"{SMALLEST_SIDE}×{SMALLEST_SIDE} pixels, got {len(auxiliary)} of {height}×{width}"
            )
        budget = DecoyBudget(
            false_positive_rate=self.false_positive_rate,
            margin=float(norm.isf(self.caught)),
            min_psnr_db=self.min_psnr,
            mark_psnr_db=bench.resource(Resource.PROTECTION).psnr_db,
        )
        choice = choose_on_decoy(auxiliary, len(data), rng, budget)
        bench.progress.note("decoy_z_before", choice.trial.z_before)
        bench.progress.note("decoy_z_after", choice.trial.z_after)
        bench.progress.note("decoy_psnr", choice.trial.psnr_db)
        bench.progress.note("decoy_removed", float(choice.removed))
        cleaned = choice.pipeline(kind.watermark_view(data.x, data.schema), bench.streams.numpy("removal"))
        return data.with_x(np.rint(np.clip(cleaned, 0, 1) * 255).astype(np.uint8))
