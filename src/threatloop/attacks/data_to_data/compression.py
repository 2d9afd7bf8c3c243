"""Lossy compression against an image watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.algorithms.laundering import RESOURCES, UNDOES, OneFamily
from threatloop.core.step import AttackInfo, Direction

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Scheme
    from threatloop.algorithms.laundering import Images
    from threatloop.algorithms.removal import Pipeline


class Compression(OneFamily):
    """Compress marked images until their owner's mark is lost.

    Threat model: the attacker holds the marked images, clean images of the same kind, and the scheme with its
    parameters, but neither the key nor the owner's detector. He stores the images as JPEG, on fewer grey levels, or
    both. The least distorting strength that blinds his own detector on decoys of his own is used; where none does,
    the strongest (note ``decoy_removed`` 0).

    Returns the images as uint8, same shape, labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``,
    ``decoy_psnr`` (dB against the marked images), ``decoy_removed``.

    Raises:
        NotAssessable: images below 8×8 pixels, fewer than 16 auxiliary images, or too small for the scheme.

    Paper: Petitcolas, Anderson & Kuhn 1998, "Attacks on copyright marking systems", LNCS 1525, sec. 3.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Compression of marked images",
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

    method: Literal["any", "jpeg", "levels"] = Field(default="any", description="JPEG, fewer grey levels, or either")

    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:  # noqa: ARG002
        from threatloop.algorithms.removal import Jpeg, Operator, Pipeline, Quantise

        coded: list[tuple[Operator, ...]] = [(Jpeg(q),) for q in (90, 75, 50, 30, 20, 10, 5)]
        levels: list[tuple[Operator, ...]] = [(Quantise(n),) for n in (33, 17, 9, 5, 4, 3, 2)]
        both: list[tuple[Operator, ...]] = [(Jpeg(q), Quantise(n)) for q, n in ((50, 9), (20, 9), (10, 5), (5, 3))]
        tried = {"jpeg": coded, "levels": levels, "any": [*coded, *levels, *both]}[self.method]
        return [Pipeline(steps) for steps in tried]
