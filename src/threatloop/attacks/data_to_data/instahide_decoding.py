"""Decoding of instance-hiding: signs off, partners found, records solved for."""

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
from threatloop.core.step import AttackInfo, Direction, Workload

Floats = npt.NDArray[np.float32]

FEWEST = 10
MOST_RECORDS = 4000


class InstaHideDecoding(DataToData):
    """Records from their InstaHide encodings alone, with records of the same kind to learn on.

    Threat model: the attacker holds the encodings with their labels and his own plain records of the same kind; he
    knows the scheme and k, not the key, and has no pairs. He encodes his own records under keys of his own and trains
    a network that estimates a record from the absolute values of its encoding and its label; finds, for each encoding,
    the records whose estimates explain its square; and solves for all records at once. The last two steps alternate.

    The attack in the paper has about 50 encodings of each record; here a record appears k times on average, so that
    what it reaches depends on how few ``partners`` the owner draws from.

    Returns uint8 images, same labels and ids. Notes: the network's held-out loss without input (first) and in the end
    (last).

    Raises:
        NotAssessable: a protection that blends nothing, fewer than 10 records of the attacker's own, or above 4,000
            encodings.

    Paper: Carlini et al. 2021, "Is private learning possible with instance encoding?", arXiv 2011.05315, sec. 4. There
    a network judges whether two encodings share a record; here estimates of the records do, since with so few
    appearances the label and the record's own encoding say more.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="InstaHide decoding",
        direction=Direction.DATA_TO_DATA,
        knowledge="the scheme and k, not the key; plain records of the same kind; no pairs",
        modalities=frozenset({"image"}),
        metrics=("decryption",),
        paper="Carlini et al. 2021, Is private learning possible with instance encoding?, arXiv 2011.05315",
        baseline="class_average",
        resources=frozenset({Resource.QUERY_POOL, Resource.PROTECTION}),
        undoes=("instahide",),
        atlas=("AML.T0035",),
    )

    steps: int = Field(default=600, ge=1, description="optimiser steps of the network, 64 encodings each")
    copies: int = Field(default=4, ge=1, description="encodings of each of his own records that he learns on")
    rounds: int = Field(default=4, ge=1, description="times that the blends are found anew")
    most_auxiliary: int = Field(default=1000, ge=FEWEST, description="records of his own that are used at most")

    def work(self, workload: Workload) -> dict[str, float]:
        """The network, and products of all pairs of encodings."""
        return {
            "seconds": 1.0 + self.steps * (5e-4 + 3e-6 * workload.width) + 2e-9 * workload.records**2 * workload.width
        }

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.unmixing import unmix

        scheme = bench.resource(Resource.PROTECTION)
        auxiliary = bench.data(Resource.QUERY_POOL).take(slice(0, self.most_auxiliary))
        if not isinstance(scheme, Encoding) or (mixed := scheme.structure().mixed) < 2:
            raise NotAssessable("this protection blends nothing that could be taken apart")
        if len(auxiliary) < max(FEWEST, mixed) or len(data) > MOST_RECORDS:
            raise NotAssessable(
                f"needs {max(FEWEST, mixed)} records of his own and at most {MOST_RECORDS} encodings, "
                f"got {len(auxiliary)} and {len(data)}"
            )
        guess, variance = self._guessed(data, auxiliary, scheme, bench)
        sizes = _sizes(data)
        found = unmix(sizes, guess * 2 - 1, 4 * variance, mixed, self.rounds)
        pixels = np.rint((found + 1) * 127.5).clip(0, 255).astype(np.uint8)
        return data.with_x(pixels.reshape(np.shape(data.x)))

    def _guessed(self, data: Dataset, auxiliary: Dataset, scheme: Encoding, bench: Bench) -> tuple[Floats, float]:
        """Each record from its own encoding and label, in [0, 1], and the variance of such an estimate per pixel."""
        from threatloop.algorithms.inverse_network import NetworkRecipe, learned_from_own, with_labels

        recipe = NetworkRecipe(self.steps)
        inverse = learned_from_own(auxiliary, scheme.protect, _rows, self.copies, recipe, bench.streams)
        bench.progress.note("loss_first", inverse.loss_first)
        bench.progress.note("loss_last", inverse.loss_last)
        return inverse(with_labels(_rows(data), data)), max(inverse.loss_last, 1e-4)


def _sizes(data: Dataset) -> Floats:
    """Absolute values of encodings, float32 (n, d): their signs are random."""
    return np.asarray(np.abs(np.asarray(data.x).reshape(len(data), -1) * 2.0 - 1), np.float32)


def _rows(data: Dataset) -> Floats:
    """The same, stored as the encodings are."""
    return np.asarray((_sizes(data) + 1) / 2, np.float32)
