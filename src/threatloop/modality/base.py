"""What a modality can do. Algorithms ask for a capability here and never ask which modality it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable

SchemaT = TypeVar("SchemaT")
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Box:
    """What encoded records, as vectors of length d, may be.

    Attributes:
        low, high: (d,) float32 limits of each entry; ±inf where there is none.
        mixtures: (start, stop) of the blocks whose entries are shares of one category each and sum to 1.
    """

    low: Floats
    high: Floats
    mixtures: tuple[tuple[int, int], ...] = ()


class Modality(Generic[SchemaT]):
    """One modality. A method that a modality does not override says *not assessable*, with the reason."""

    kind: str

    def problems(self, data: Dataset) -> list[str]:
        """Everything wrong with the records: NaN, values or labels out of range, shapes that do not fit."""
        raise NotImplementedError

    def encode(self, x: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """What a network reads, before mean/std: float32 (n, ...) in input units, or int64 token ids."""
        raise NotImplementedError

    def project(self, x: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """The nearest valid records: clipped to the bounds; integer and categorical cells on their grid."""
        raise NotImplementedError

    def losses(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each record (n,), from the answers of a service."""
        raise NotImplementedError

    def membership_signal(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """A roughly Gaussian statistic per record (n,) that is larger when the model fits the record better."""
        raise NotImplementedError

    def decode(self, encoded: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """The nearest valid records of encoded ones: the way back from what a network reads."""
        raise NotAssessable(f"encoded {self.kind} records have no way back to records")

    def box(self, schema: SchemaT) -> Box:
        """The limits of encoded records, for a network that is to make some."""
        raise NotAssessable(f"a generator needs records that can be changed by small steps; {self.kind} records cannot")

    def insert_trigger(self, x: npt.NDArray[Any], schema: SchemaT, size: int) -> npt.NDArray[Any]:
        """The records with a fixed trigger inserted; ``size`` is its side in pixels, or its number of columns."""
        raise NotAssessable(f"{self.kind} records have no trigger to insert")

    def watermark_view(self, x: npt.NDArray[Any], schema: SchemaT) -> Floats:
        """Records as images (n, channels, height, width) in [0, 1] that can carry an invisible mark."""
        raise NotAssessable(f"no invisible watermark is implemented for {self.kind} records")

    def start_points(
        self, auxiliary: Dataset, labels: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """Encoded starting records for inversion, one per label, drawn from a wide prior."""
        raise NotAssessable(f"inversion needs records that can be changed by small steps; {self.kind} records cannot")

    def noise_records(self, schema: SchemaT, n: int, rng: np.random.Generator) -> npt.NDArray[Any]:
        """``n`` valid records that look like none of the data: out-of-distribution queries."""
        raise NotAssessable(f"no out-of-distribution records are implemented for {self.kind} records")
