"""Learned regeneration against an image watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.algorithms.laundering import RESOURCES, UNDOES, OneFamily
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Scheme
    from threatloop.algorithms.laundering import Images
    from threatloop.algorithms.removal import Pipeline


class Regeneration(OneFamily):
    """Draw marked images anew with a model of clean ones.

    Threat model: the attacker holds the marked images, clean images of the same kind, and the scheme with its
    parameters, but neither the key nor the owner's detector. He adds noise and removes it again, by a denoising
    autoencoder or a small diffusion model trained on half of his images. The least distorting strength that blinds his
    own detector on decoys of his own is used; where none does, the strongest (note ``decoy_removed`` 0).

    Returns the images as uint8, same shape, labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``,
    ``decoy_psnr`` (dB against the marked images), ``decoy_removed``.

    Raises:
        NotAssessable: images below 8×8 pixels, fewer than 16 auxiliary images, or too small for the scheme.

    Paper: Zhao et al. 2023, "Invisible image watermarks are provably removable using generative AI", arXiv
    2306.01953, sec. 4; Meng et al. 2022 (SDEdit), arXiv 2108.01073. Their models are large and pre-trained; these are
    trained on the attacker's pool in seconds, and distort more.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Regeneration of marked images",
        direction=Direction.DATA_TO_DATA,
        knowledge="the marking scheme, not the key; clean images of the same kind; no access to the owner's detector",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Zhao et al. 2023, Invisible image watermarks are provably removable, arXiv 2306.01953",
        baseline="identity",
        resources=RESOURCES,
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )

    generator: Literal["autoencoder", "diffusion"] = Field(default="diffusion", description="what draws the images")

    def work(self, workload: Workload) -> dict[str, float]:
        """Mostly the generator; about 4 s for 8×8 pixels and 40 s for 28×28, estimated on one core."""
        return {"seconds": 2.0 + 0.05 * min(workload.width, 4096)}

    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:  # noqa: ARG002
        from threatloop.algorithms.diffusion import Diffuse, train_diffusion
        from threatloop.algorithms.regeneration import DenoiserRecipe, train_denoiser
        from threatloop.algorithms.removal import Pipeline, Regenerate

        if self.generator == "diffusion":
            model = train_diffusion(known, rng)
            return [Pipeline((Diffuse(t, model),)) for t in (0.05, 0.08, 0.12, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6)]
        denoiser = train_denoiser(known, rng, DenoiserRecipe(decoy_keys=0))
        return [Pipeline((Regenerate(s, denoiser),)) for s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)]
