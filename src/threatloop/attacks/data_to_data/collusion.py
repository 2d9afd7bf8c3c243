"""Averaging many marked images against an image watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from threatloop.algorithms.laundering import RESOURCES, UNDOES, OneFamily
from threatloop.core.step import AttackInfo, Direction

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Choice, Scheme
    from threatloop.algorithms.laundering import Images
    from threatloop.algorithms.removal import Pipeline
    from threatloop.core.bench import Bench


class Collusion(OneFamily):
    """Subtract what marked images have in common and clean ones have not.

    Threat model: the attacker holds the marked images, clean ones of the same kind, and the scheme with its parameters,
    but neither the key nor the owner's detector. The mean of the marked minus the mean of the clean images estimates a
    pattern that every image carries; in DCT coordinates each coefficient is shrunk by its own standard error, so that
    the difference of two samples is not taken for a mark. How many times it is subtracted is chosen on decoys: a
    detector over hundreds of images sees what shrinkage leaves. Works on schemes whose pattern is the same in every
    image. Where it changes with the image, as in spread_spectrum, little is found and little is changed;
    dwt_dct_svd is no addition, yet what its blocks have in common is weakened too (z 9.2 to 6.4 in one measurement).

    Returns the images as uint8, same shape, labels and ids. Notes: ``pattern_rms`` (of the pattern found, in grey
    levels of 0-255), ``decoy_z_before``, ``decoy_z_after``, ``decoy_psnr``, ``decoy_removed``.

    Raises:
        NotAssessable: images below 8×8 pixels, fewer than 16 auxiliary images, or too small for the scheme.

    Paper: Yang et al. 2024, "Can simple averaging defeat modern watermarks?", arXiv 2406.09026, sec. 4; the shrinkage
    is ours.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Averaging of marked images",
        direction=Direction.DATA_TO_DATA,
        knowledge="many marked images; the marking scheme, not the key; clean images of the same kind",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Yang et al. 2024, Can simple averaging defeat modern watermarks?, arXiv 2406.09026",
        baseline="identity",
        resources=RESOURCES,
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )

    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:  # noqa: ARG002
        from threatloop.algorithms.common_pattern import Subtract
        from threatloop.algorithms.removal import Pipeline

        return [Pipeline((Subtract(known, times),)) for times in (1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)]

    def finish(self, marked: Images, cleaned: Images, choice: Choice, bench: Bench) -> None:  # noqa: ARG002
        """Note how large the pattern is that was taken away."""
        bench.progress.note("pattern_rms", 255 * float(np.sqrt(((marked - cleaned).mean(axis=0) ** 2).mean())))
