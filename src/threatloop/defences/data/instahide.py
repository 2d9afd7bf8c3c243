"""InstaHide: every record blended with others of the set, and the signs of its pixels thrown away."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Encoding, Structure

LARGEST_SHARE = 0.65
Floats = npt.NDArray[np.float32]


class InstaHide(Encoding):
    """Inside-dataset InstaHide: record i becomes σ ∘ (λ₁ xᵢ + Σ λⱼ xⱼ) over k records of the set, pixels in [−1, 1].

    Every record is encoded once, under its own label. Stored as (v + 1) / 2, float32 in [0, 1]. The paper releases an
    encoding of every record per epoch; here each appears once as itself and, by mixing, k − 1 times more on average,
    and records in a small circle of ``partners`` far more often.

    Attributes:
        mixed: k, records that are blended into one, ≥ 2 and at most as many as there are.
        partners: records of the set from which all the others are drawn; 0 for all of it, as in the paper.

    Raises:
        NotAssessable: fewer than ``mixed`` records, or no images.

    Huang, Song, Li, Arora 2020, "InstaHide: instance-hiding schemes for private distributed learning", arXiv
    2010.02772, sec. 3 and algorithm 1 (λ normalised, at most .65; σ uniform signs per pixel).
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="InstaHide",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Huang, Song, Li, Arora 2020, InstaHide: instance-hiding schemes, arXiv 2010.02772",
        atlas=("AML.M0012",),
    )

    mixed: int = Field(default=4, ge=2, le=8, description="records blended into one")
    partners: int = Field(default=0, ge=0, description="records that the others are drawn from; 0 for all")

    def structure(self) -> Structure:
        return Structure(per_image=True, mixed=self.mixed)

    def protect(self, data: Dataset, key: bytes) -> Dataset:
        from threatloop.algorithms.encodings import stored_bytes

        flat = stored_bytes(data).reshape(len(data), -1).astype(np.float32) / 127.5 - 1
        who, shares, signs = self._drawn(len(data), flat.shape[1], key)
        blended = np.einsum("nk,nkd->nd", shares, flat[who]) * signs
        return data.with_x(((blended + 1) / 2).clip(0, 1).reshape(-1, *np.shape(data.x)[1:]).astype(np.float32))

    def open(self, data: Dataset, key: bytes) -> Dataset:
        """The records, by solving the blends; needs the whole set in its order. Exact to 8 bits if solvable."""
        n = len(data)
        flat = np.asarray(data.x, np.float64).reshape(n, -1) * 2 - 1
        who, shares, signs = self._drawn(n, flat.shape[1], key)
        weights = np.zeros((n, n))
        np.add.at(weights, (np.arange(n)[:, None], who), shares)
        found = np.linalg.lstsq(weights, flat * signs, rcond=None)[0]
        pixels = np.rint((found + 1) * 127.5).clip(0, 255).astype(np.uint8)
        return data.with_x(pixels.reshape(np.shape(data.x)))

    def _drawn(self, n: int, d: int, key: bytes) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        """Who is blended into each record (n, k), itself first; their shares; the signs (n, d)."""
        from threatloop.algorithms.encodings import keyed

        if n < self.mixed:
            raise NotAssessable(f"{n} records cannot be blended {self.mixed} at a time; lower `mixed`")
        rng = keyed(key, "instahide")
        circle = rng.permutation(n)[: max(self.partners or n, self.mixed)]
        order = np.argsort(rng.random((n, len(circle))), axis=1)[:, : self.mixed]
        drawn = circle[order]
        others = np.stack([row[row != i][: self.mixed - 1] for i, row in enumerate(drawn)])
        who = np.concatenate([np.arange(n)[:, None], others], axis=1)
        signs = rng.integers(2, size=(n, d)).astype(np.float32) * 2 - 1
        return who, shares_drawn(n, self.mixed, rng), signs


def shares_drawn(n: int, k: int, rng: np.random.Generator) -> Floats:
    """Uniform numbers normalised to sum 1, drawn again until none is over .65: float32 (n, k)."""
    shares = np.full((n, k), 2.0)
    while (wide := shares.max(axis=1) > LARGEST_SHARE).any():
        drawn = rng.random((int(wide.sum()), k))
        shares[wide] = drawn / drawn.sum(axis=1, keepdims=True)
    return shares.astype(np.float32)
