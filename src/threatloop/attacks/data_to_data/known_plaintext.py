"""Known-plaintext attack on encoded records: read the key's map off pairs, or learn the way back."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Encoding
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Workload

Bytes = npt.NDArray[np.uint8]

FEWEST = 10
EXPLAINED = 0.02
"""Largest mean error, as a share of the range, at which a map that was read off explains pairs it did not see."""


class KnownPlaintext(DataToData):
    """Records from their encodings, knowing some pairs under the same owner's key.

    Threat model: the attacker holds the encoded records and, for some records of his own, what the owner's key made of
    them; he knows the scheme and its parameters, not the key. Where one key serves all records he reads its
    permutation and negations off the pairs exactly, and checks them on a fifth of the pairs. Where that does not
    explain them, as with a key per record or with blends, he trains an inverse transformation network on the pairs.

    Returns uint8 images, same labels and ids. Notes: ``map_error`` (mean error of the map on pairs not used, share of
    the range), ``used_network`` (0 or 1) and the network's held-out loss without input (first) and in the end (last).

    Raises:
        NotAssessable: fewer than 10 pairs, or a protection that is no encoding.

    Papers: Sirichotedumrong, Kiya 2020, "Visual security evaluation of learnable image encryption methods against
    ciphertext-only attacks", arXiv 2010.06198 (inverse transformation network; theirs is convolutional, ours dense
    with a linear part, since moved pixels have no neighbours); Chang, Case 2020, "Attacks on image encryption schemes
    for privacy-preserving deep neural networks", arXiv 2004.13263 (chosen plaintext; reading the map off known pairs
    is ours).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Known-plaintext decryption",
        direction=Direction.DATA_TO_DATA,
        knowledge="the scheme, not the key; pairs of his own records before and after the owner's encoding",
        modalities=frozenset({"image"}),
        metrics=("decryption",),
        paper="Chang, Case 2020, arXiv 2004.13263; Sirichotedumrong, Kiya 2020, arXiv 2010.06198",
        baseline="class_average",
        resources=frozenset({Resource.KNOWN_PAIRS, Resource.PROTECTION}),
        undoes=("block_scramble", "etc", "pixel_encryption", "instahide"),
        atlas=("AML.T0035",),
        sweep="pairs",
    )

    pairs: int = Field(default=2000, ge=FEWEST, description="pairs that are used at most")
    steps: int = Field(default=1000, ge=1, description="optimiser steps of the network, 64 pairs each")

    def work(self, workload: Workload) -> dict[str, float]:
        """The network, which shared keys do not need; about 10 ms a step for 3,072 numbers."""
        return {"seconds": 0.5 + self.steps * (5e-4 + 3e-6 * workload.width)}

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        return [] if records >= FEWEST else [f"{records} records; pairs need at least {FEWEST}: give a larger data set"]

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.encodings import stored_bytes

        scheme = bench.resource(Resource.PROTECTION)
        if not isinstance(scheme, Encoding):
            raise NotAssessable("this protection encodes nothing that could be opened")
        plain, coded = (one.take(slice(0, self.pairs)) for one in bench.resource(Resource.KNOWN_PAIRS))
        if len(plain) < FEWEST:
            raise NotAssessable(f"needs {FEWEST} known pairs, got {len(plain)}")
        found = None
        if not scheme.structure().per_image:
            found = self._by_map(stored_bytes(data), stored_bytes(plain), stored_bytes(coded), scheme, bench)
        bench.progress.note("used_network", float(found is None))
        return data.with_x(self._by_network(data, plain, coded, bench) if found is None else found)

    def _by_map(
        self,
        target: Bytes,
        plain: Bytes,
        coded: Bytes,
        scheme: Encoding,
        bench: Bench,
    ) -> Bytes | None:
        """The opened images, or None where no map explains the pairs."""
        from threatloop.algorithms.known_map import Cells, read_map

        cells, fitted = Cells(scheme.structure()), max(1, round(0.8 * len(plain)))
        found = read_map(cells.rows(plain[:fitted]), cells.rows(coded[:fitted]), cells.top)
        opened = cells.images(found.invert(cells.rows(coded[fitted:])), coded[fitted:])
        error = float(np.abs(opened.astype(np.float32) - plain[fitted:]).mean()) / 255
        bench.progress.note("map_error", error)
        if error > EXPLAINED:
            return None
        found = read_map(cells.rows(plain), cells.rows(coded), cells.top)
        return cells.images(found.invert(cells.rows(target)), target)

    def _by_network(self, data: Dataset, plain: Dataset, coded: Dataset, bench: Bench) -> Bytes:
        from threatloop import modality
        from threatloop.algorithms.inverse_network import NetworkRecipe, fit_inverse, with_labels

        kind = modality.of(data.schema)
        known, hidden, target = (kind.watermark_view(one.x, one.schema) for one in (coded, plain, data))
        rows = with_labels(known.reshape(len(known), -1), coded)
        recipe, seed = NetworkRecipe(self.steps), bench.streams.integer("network")
        inverse = fit_inverse(rows, hidden.reshape(len(known), -1), recipe, seed)
        bench.progress.note("loss_first", inverse.loss_first)
        bench.progress.note("loss_last", inverse.loss_last)
        found = inverse(with_labels(target.reshape(len(target), -1), data))
        return np.rint(found * 255).astype(np.uint8).reshape(target.shape)
