"""Small changes of geometry against an image watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.algorithms.laundering import RESOURCES, UNDOES, OneFamily
from threatloop.core.bench import Bench
from threatloop.core.step import AttackInfo, Direction

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Choice, Scheme
    from threatloop.algorithms.geometry import Move
    from threatloop.algorithms.laundering import Images
    from threatloop.algorithms.removal import Pipeline


class Geometric(OneFamily):
    """Move the pixels of marked images until their owner's detector loses its place.

    Threat model: the attacker holds the marked images, clean images of the same kind, and the scheme with its
    parameters, but neither the key nor the owner's detector. He crops and rescales, rotates, or shifts; the shape
    stays. The least distorting strength that blinds his own detector on decoys of his own is used; where none does,
    the strongest (note ``decoy_removed`` 0).

    Returns the images as uint8, same shape, labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``,
    ``decoy_psnr`` (dB against the marked images), ``decoy_removed``,
    ``aligned_psnr`` (dB, inner three quarters, after the change is undone).

    Raises:
        NotAssessable: images below 8×8 pixels, fewer than 16 auxiliary images, or too small for the scheme.

    Paper: Petitcolas, Anderson & Kuhn 1998, "Attacks on copyright marking systems" (StirMark), LNCS 1525, sec. 3.2.

    PSNR to the original overstates what a viewer loses, since moved pixels count as wrong ones: read ``aligned_psnr``.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Geometric change of marked images",
        direction=Direction.DATA_TO_DATA,
        knowledge="the marking scheme, not the key; clean images of the same kind; no access to the owner's detector",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Petitcolas, Anderson & Kuhn 1998, Attacks on copyright marking systems, LNCS 1525",
        baseline="identity",
        resources=RESOURCES,
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )

    method: Literal["any", "crop", "rotate", "shift"] = Field(default="any", description="which change, or the best")
    min_psnr: float = Field(default=0.0, ge=0, description="dB against the marked images, without alignment")

    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:  # noqa: ARG002
        from threatloop.algorithms.removal import Pipeline

        return [Pipeline((one,)) for one in self._moves()]

    def finish(self, marked: Images, cleaned: Images, choice: Choice, bench: Bench) -> None:
        """Note how much is lost beyond the move itself."""
        from threatloop.algorithms.geometry import aligned_psnr

        move = {one.label: one for one in self._moves()}[choice.pipeline.label]
        bench.progress.note("aligned_psnr", aligned_psnr(cleaned, marked, move))

    def _moves(self) -> list[Move]:
        from threatloop.algorithms.geometry import CropRescale, Rotate, Shift

        tried: dict[str, list[Move]] = {
            "crop": [CropRescale(p) for p in (0.25, 0.5, 1, 1.5, 2, 3)],
            "rotate": [Rotate(d) for d in (1, 2, 4, 7, 10, 15, 25)],
            "shift": [Shift(p) for p in (0.5, 1, 1.5, 2, 3)],
        }
        if self.method == "any":
            return [one for group in tried.values() for one in group]
        return tried[self.method]
