"""What removals have in common: the attacker's own marks under his own keys decide how strong a removal must be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import DEFENCES
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Marker
from threatloop.core.step import Workload

if TYPE_CHECKING:
    from threatloop.algorithms.decoy import Choice, Grid, Scheme
    from threatloop.algorithms.removal import Pipeline

Images = npt.NDArray[np.float32]

SMALLEST_SIDE = 8
FEWEST_AUXILIARY = 16
UNDOES = ("spread_spectrum", "dwt_dct_svd", "learned_mark")
RESOURCES = frozenset({Resource.QUERY_POOL, Resource.PROTECTION})


@dataclass(frozen=True, eq=False)
class MarkerScheme:
    """Any marker as a scheme on images; ``pool`` says what a record is."""

    marker: Marker
    pool: Dataset

    def mark(self, images: Images, key: bytes) -> Images:
        marked = self.marker.protect(self._records(images), key)
        return modality.of(marked.schema).watermark_view(marked.x, marked.schema)

    def z(self, images: Images, key: bytes, clean: Images) -> float:
        found = self.marker.detect(self._records(images), key, self._records(clean))
        return float(np.clip(found.z_set, -40, 1e6))

    def _records(self, images: Images) -> Dataset:
        none = np.zeros(len(images), np.int64)
        return Dataset(eight_bits(images), none, self.pool.schema, none - 1)


def eight_bits(images: Images) -> npt.NDArray[np.uint8]:
    """Images in [0, 1] as uint8."""
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def scheme_of(marker: Marker, pool: Dataset) -> Scheme | None:
    """The marker as a scheme; None for spread spectrum, for which the choice on decoys has a faster way of its own."""
    row = DEFENCES.rows["spread_spectrum"]
    known = row == f"{type(marker).__module__}:{type(marker).__qualname__}"
    return None if known else MarkerScheme(marker, pool)


class DecoyTuned(DataToData):
    """A removal whose strength is the least that blinds the attacker's own detector on his own marks."""

    false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5, description="of the detector that must be escaped")
    min_psnr: float = Field(default=10.0, ge=0, description="dB against the marked images; more distortion is useless")
    caught: float = Field(default=0.05, gt=0, lt=0.5, description="chance of still being detected that is accepted")
    most_auxiliary: int = Field(default=2000, ge=FEWEST_AUXILIARY, description="auxiliary images that are used at most")

    def work(self, workload: Workload) -> dict[str, float]:
        """Decoys and pipelines; about 1.5 s for 8×8 pixels and 25 s for 28×28, measured on one core."""
        return {"seconds": 1.0 + 0.03 * min(workload.width, 4096)}

    def grid(self) -> Grid | None:
        """What makes the candidates; None for those of `decoy.default_pipelines`."""
        return None

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        marked = modality.of(data.schema).watermark_view(data.x, data.schema)
        choice = self.choose(data, bench)
        cleaned = choice.pipeline(marked, bench.streams.numpy("removal"))
        self.finish(marked, cleaned, choice, bench)
        return data.with_x(eight_bits(cleaned))

    def finish(self, marked: Images, cleaned: Images, choice: Choice, bench: Bench) -> None:
        """Further notes on the result, of a removal that has some."""

    def choose(self, data: Dataset, bench: Bench) -> Choice:
        """The pipeline for these data, with its notes.

        Raises:
            NotAssessable: too few or too small auxiliary images.
        """
        from scipy.stats import norm

        from threatloop.algorithms.decoy import DecoyBudget, choose_on_decoy
        from threatloop.algorithms.regeneration import DenoiserRecipe

        pool, marker = bench.data(Resource.QUERY_POOL), bench.resource(Resource.PROTECTION)
        auxiliary = modality.of(pool.schema).watermark_view(pool.x[: self.most_auxiliary], pool.schema)
        _refuse_too_little(auxiliary)
        scheme = scheme_of(marker, pool)
        keys = {} if scheme is None else {"screening_keys": 1, "confirmation_keys": 2}  # a learned mark costs seconds
        budget = DecoyBudget(
            **keys,
            false_positive_rate=self.false_positive_rate,
            margin=float(norm.isf(self.caught)),
            min_psnr_db=self.min_psnr,
            mark_psnr_db=getattr(marker, "psnr_db", 36.0),
        )
        recipe = None if scheme is None else DenoiserRecipe(decoy_keys=2)
        rng = bench.streams.numpy("decoy")
        choice = choose_on_decoy(auxiliary, len(data), rng, budget, recipe, self.grid(), scheme)
        bench.progress.note("decoy_z_before", choice.trial.z_before)
        bench.progress.note("decoy_z_after", choice.trial.z_after)
        bench.progress.note("decoy_psnr", choice.trial.psnr_db)
        bench.progress.note("decoy_removed", float(choice.removed))
        return choice


class OneFamily(DecoyTuned):
    """A removal that tries operators of its own, of one family."""

    @abstractmethod
    def pipelines(self, known: Images, scheme: Scheme, rng: np.random.Generator) -> Sequence[Pipeline]:
        """What it tries; ``known`` are clean images, of which none carries a decoy."""

    def grid(self) -> Grid:
        """Its own operators."""
        return self.pipelines


def _refuse_too_little(auxiliary: Images) -> None:
    height, width = auxiliary.shape[2:]
    if min(height, width) < SMALLEST_SIDE or len(auxiliary) < FEWEST_AUXILIARY:
        raise NotAssessable(
            f"removal is tuned on decoys: needs {FEWEST_AUXILIARY} auxiliary images of at least "
            f"{SMALLEST_SIDE}×{SMALLEST_SIDE} pixels, got {len(auxiliary)} of {height}×{width}"
        )
