"""Classical denoising against an image watermark."""

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


class Denoising(OneFamily):
    """Smooth marked images until their owner's mark is lost.

    Threat model: the attacker holds the marked images, clean images of the same kind, and the scheme with its
    parameters, but neither the key nor the owner's detector. He blurs, takes medians, or averages pixels with like
    neighbourhoods. The least distorting strength that blinds his own detector on decoys of his own is used; where
    none does, the strongest (note ``decoy_removed`` 0).

    Returns the images as uint8, same shape, labels and ids. Notes: ``decoy_z_before``, ``decoy_z_after``,
    ``decoy_psnr`` (dB against the marked images), ``decoy_removed``.

    Raises:
        NotAssessable: images below 8×8 pixels, fewer than 16 auxiliary images, or too small for the scheme.

    Paper: Buades, Coll & Morel 2005, "A non-local algorithm for image denoising", CVPR (non-local means);
    Petitcolas, Anderson & Kuhn 1998, LNCS 1525, sec. 3 (filters against marks).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Denoising of marked images",
        direction=Direction.DATA_TO_DATA,
        knowledge="the marking scheme, not the key; clean images of the same kind; no access to the owner's detector",
        modalities=frozenset({"image"}),
        metrics=("watermark_escapes", "image_quality", "trained_accuracy"),
        paper="Buades, Coll & Morel 2005, A non-local algorithm for image denoising, CVPR",
        baseline="identity",
        resources=RESOURCES,
        undoes=UNDOES,
        atlas=("AML.T0043",),
    )

    method: Literal["any", "blur", "median", "nlm"] = Field(
        default="any", description="Gaussian blur, median filter, non-local means, or the best of them"
    )

    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:  # noqa: ARG002
        from threatloop.algorithms.geometry import NonLocalMeans
        from threatloop.algorithms.removal import Blur, Median, Operator, Pipeline

        tried: dict[str, list[Operator]] = {
            "blur": [Blur(s) for s in (0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)],
            "median": [Median(3), Median(5), Median(7)],
            "nlm": [NonLocalMeans(s) for s in (0.03, 0.05, 0.1, 0.15, 0.25, 0.4)],
        }
        chosen = tried.values() if self.method == "any" else [tried[self.method]]
        return [Pipeline((one,)) for group in chosen for one in group]
