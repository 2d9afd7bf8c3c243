"""Removal of an invisible image watermark, tuned on decoys of the attacker's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from threatloop.algorithms.laundering import RESOURCES, UNDOES, DecoyTuned
from threatloop.core.step import AttackInfo, Direction

if TYPE_CHECKING:
    pass


class WatermarkRemoval(DecoyTuned):
    """Launder marked images so that their owner's detector no longer fires.

    Threat model: the attacker holds the marked images and clean images of the same kind with marks of his own making.
    He knows the marking scheme but not the owner's key, and never sees an answer of the owner's detector. He embeds
    decoy marks under his own keys, tries quantisation, compression, blur, noise, median filters, erasure of the mark's
    band, regeneration by a denoising autoencoder and combinations of them (on images of at most 256 numbers also
    regeneration by a briefly trained diffusion model, against other schemes than spread spectrum also changes of scale
    and small moves), and uses on the stolen images the pipeline that distorts least among those that blind his own
    detector. Not the last word: ``regeneration`` trains its model longer, and ``detector_removal`` asks the detector.

    Returns the images as uint8, same labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``, ``decoy_psnr`` (dB),
    ``decoy_removed`` (0 or 1), and the regenerator's loss.

    Raises:
        NotAssessable: images smaller than 8 pixels a side or too small for the scheme, or fewer than 16
            auxiliary images.

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
        resources=RESOURCES,
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )
