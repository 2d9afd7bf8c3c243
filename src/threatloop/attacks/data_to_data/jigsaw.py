"""Ciphertext-only attack on perceptual image encryption: what moves pixels leaves their statistics."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Encoding, Structure
from threatloop.core.step import AttackInfo, Direction, Workload

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FEWEST = 10
TRIALS = 64
"""Images of his own that he tries his ways on, where every image has a key."""


class Jigsaw(DataToData):
    """Images from their encodings alone, with images of the same kind to compare with.

    Threat model: the attacker holds the encoded images and his own plain images of the same kind; he knows the scheme
    and its parameters, not the key, and has no pairs. What he does follows from what the scheme moves:

    - elements inside blocks, alike in all blocks: signed graph matching of their correlations, also with the blocks
      beside;
    - whole blocks: a jigsaw over the edges of all images at once (of one image where each has its own key), turned
      upright by what such images look like, or blocks placed by that alone where it fits better;
    - nothing: each pixel in the state that its neighbours and such images lead one to expect.

    With one key for all images this is usually exact, but for a mirror: moved blocks of images that are as common
    mirrored, as photographs are, come out one way or the other. Where each image has its own, keys of the attacker's
    are as good as the owner's: he also trains a network on his own images and their encodings, takes it as a guess for
    the above, and uses whatever does best on images of his own.

    Returns uint8 images, same labels and ids. Notes: ``misfit`` of the recovered images under the attacker's own, 1
    for images like them, and ``misfit_before`` of the encoded ones; the network's held-out losses.

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
    steps: int = Field(default=600, ge=1, description="optimiser steps of the network, for a key per image")
    copies: int = Field(default=4, ge=1, description="encodings of each of his own images that it learns on")
    most_auxiliary: int = Field(default=2000, ge=FEWEST, description="images of his own that are used at most")

    def work(self, workload: Workload) -> dict[str, float]:
        """A key per image costs most: 10 ms an image of 28×28 pixels, 60 ms one of 32×32 in colour, on one core."""
        return {"seconds": 0.5 + 2e-3 * workload.width + 5e-6 * workload.width * workload.records}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.encodings import check_side, stored_bytes
        from threatloop.algorithms.picture_prior import fit_prior

        scheme, auxiliary = bench.resource(Resource.PROTECTION), bench.data(Resource.QUERY_POOL)
        if not isinstance(scheme, Encoding) or scheme.structure().mixed > 1:
            raise NotAssessable("this protection moves and negates nothing; a jigsaw has no pieces here")
        if len(auxiliary) < FEWEST:
            raise NotAssessable(f"needs {FEWEST} plain images to compare with, got {len(auxiliary)}")
        own, structure = auxiliary.take(slice(0, self.most_auxiliary)), scheme.structure()
        coded, pool = stored_bytes(data), stored_bytes(own)
        check_side(coded, structure.side)
        if structure.per_image:
            found = self._one_by_one(data, own, scheme, bench)
        else:
            found = self._together(coded, pool, structure, bench)
        prior = fit_prior(pool.astype(np.float32) - 127.5)
        usual = float(prior.misfit(pool.reshape(len(pool), -1) - np.float32(127.5)).mean())
        for name, images in (("misfit_before", coded), ("misfit", found)):
            misfit = float(prior.misfit(images.reshape(len(images), -1) - np.float32(127.5)).mean())
            bench.progress.note(name, misfit / max(usual, 1e-9))
        return data.with_x(found)

    def _together(self, coded: Bytes, pool: Bytes, structure: Structure, bench: Bench) -> Bytes:
        """All images by the one key that they share."""
        from threatloop.algorithms.moved_blocks import reassemble
        from threatloop.algorithms.pixel_signs import recover_pixels
        from threatloop.algorithms.scrambled_blocks import recover_scrambled

        if structure.moved == "pixels":
            return recover_scrambled(coded, pool, structure, self.restarts, bench.streams.numpy("starts"))
        if structure.moved == "blocks":
            return reassemble(coded, pool, structure)
        return recover_pixels(coded, pool, structure, bench.streams.numpy("keys"))

    def _one_by_one(self, data: Dataset, own: Dataset, scheme: Encoding, bench: Bench) -> Bytes:
        """Each image by itself, in the way that does best on images of his own under a key of his own."""
        from threatloop.algorithms.encodings import BYTE, stored_bytes
        from threatloop.algorithms.inverse_network import NetworkRecipe, learned_from_own, with_labels
        from threatloop.algorithms.moved_blocks import reassemble
        from threatloop.algorithms.pixel_signs import likeness, nearest_pixels, recover_pixels

        def rows(one: Dataset) -> Floats:
            return np.asarray(stored_bytes(one).reshape(len(one), -1) / BYTE, np.float32)

        n, structure = min(TRIALS, len(own) // 2), scheme.structure()
        trial, rest = own.take(slice(0, n)), own.take(slice(n, None))
        both = concatenate([scheme.protect(trial, bench.streams.key("trial")), data.with_x(stored_bytes(data))])
        recipe = NetworkRecipe(self.steps)
        inverse = learned_from_own(rest, scheme.protect, rows, self.copies, recipe, bench.streams)
        bench.progress.note("loss_first", inverse.loss_first)
        bench.progress.note("loss_last", inverse.loss_last)
        coded, pool, truth = stored_bytes(both), stored_bytes(rest), stored_bytes(trial)
        guess = np.rint(inverse(with_labels(rows(both), both)) * BYTE).astype(np.uint8).reshape(coded.shape)
        if structure.moved:
            found = [guess, reassemble(coded, pool, structure, guess)]
        else:
            found = [guess, nearest_pixels(coded, guess, pool, structure)]
            found.append(recover_pixels(coded, pool, structure, bench.streams.numpy("keys")))
        return max(found, key=lambda images: likeness(images[:n], truth))[n:]
