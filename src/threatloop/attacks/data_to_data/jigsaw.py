"""Ciphertext-only attack on perceptual image encryption: what moves pixels leaves their statistics."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.attack import AttackInfo, DataToData, Direction, Workload
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Encoding, Structure
from threatloop.core.errors import NotAssessable

Bytes = npt.NDArray[np.uint8]

FEWEST = 10


class Jigsaw(DataToData):
    """Images from their encodings alone, with images of the same kind to compare with.

    Threat model: the attacker holds the encoded images and his own plain images of the same kind; he knows the scheme
    and its parameters, not the key, and has no pairs. What he does follows from what the scheme moves:

    - elements inside blocks, alike in all blocks: signed graph matching of their correlations, also with the blocks
      beside;
    - whole blocks: a jigsaw over the edges of all images at once (of one image where each has its own key), turned
      upright by what such images look like, or blocks placed by that alone where it fits better;
    - nothing: each pixel in the state that its neighbours and such images lead one to expect.

    With one key for all images this is usually exact. With a key per image it is a guess of varying quality.

    Returns uint8 images, same labels and ids. Notes: ``misfit`` of the recovered images under the attacker's own, 1
    for images like them, and ``misfit_before`` of the encoded ones.

    Raises:
        NotAssessable: a protection that blends images or is no encoding, or fewer than 10 images of the attacker's own.

    Papers: Chang, Case 2020, "Attacks on image encryption schemes for privacy-preserving deep neural networks", arXiv
    2004.13263, sec. 4 (ciphertext only); Chuman, Kurihara, Kiya 2017 (ICME), extended jigsaw puzzle solver; Paikin,
    Tal 2015 (CVPR). Matching of covariances, and edges of many images together, are ours: the papers attack single
    images.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Ciphertext-only decryption (jigsaw)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the scheme, not the key; plain images of the same kind; no pairs",
        modalities=frozenset({"image"}),
        metrics=("decryption",),
        paper="Chang, Case 2020, Attacks on image encryption schemes for privacy-preserving DNNs, arXiv 2004.13263",
        baseline="class_average",
        resources=frozenset({Resource.QUERY_POOL, Resource.PROTECTION}),
        undoes=("block_scramble", "etc", "pixel_encryption"),
        atlas=("AML.T0035",),
    )

    restarts: int = Field(default=8, ge=1, description="random starting points of the graph matching")
    most_auxiliary: int = Field(default=2000, ge=FEWEST, description="images of his own that are used at most")

    def work(self, workload: Workload) -> dict[str, float]:
        """A key per image costs most: 10 ms an image of 28×28 pixels, 60 ms one of 32×32 in colour, on one core."""
        return {"seconds": 0.5 + 2e-3 * workload.width + 5e-6 * workload.width * workload.records}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.encodings import check_side, stored_bytes
        from threatloop.algorithms.picture_prior import fit_prior

        scheme, auxiliary = bench.resource(Resource.PROTECTION), bench.data(Resource.QUERY_POOL)
        if not isinstance(scheme, Encoding) or (structure := scheme.structure()).mixed > 1:
            raise NotAssessable("this protection moves and negates nothing; a jigsaw has no pieces here")
        if len(auxiliary) < FEWEST:
            raise NotAssessable(f"needs {FEWEST} plain images to compare with, got {len(auxiliary)}")
        coded, pool = stored_bytes(data), stored_bytes(auxiliary.take(slice(0, self.most_auxiliary)))
        check_side(coded, structure.side)
        found = self._recover(coded, pool, structure, bench)
        prior = fit_prior(pool.astype(np.float32) - 127.5)
        own = float(prior.misfit(pool.reshape(len(pool), -1) - np.float32(127.5)).mean())
        for name, images in (("misfit_before", coded), ("misfit", found)):
            misfit = float(prior.misfit(images.reshape(len(images), -1) - np.float32(127.5)).mean())
            bench.progress.note(name, misfit / max(own, 1e-9))
        return data.with_x(found)

    def _recover(self, coded: Bytes, pool: Bytes, structure: Structure, bench: Bench) -> Bytes:
        from threatloop.algorithms.moved_blocks import reassemble
        from threatloop.algorithms.pixel_signs import recover_pixels
        from threatloop.algorithms.scrambled_blocks import recover_scrambled

        if structure.moved == "pixels":
            return recover_scrambled(coded, pool, structure, self.restarts, bench.streams.numpy("starts"))
        if structure.moved == "blocks":
            return reassemble(coded, pool, structure)
        return recover_pixels(coded, pool, structure, bench.streams.numpy("keys"))
