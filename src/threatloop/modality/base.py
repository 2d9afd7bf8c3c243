"""What a modality can do. Algorithms ask for a capability here and never ask which modality it is."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.modality.patches import Patches
from threatloop.modality.space import Space

SchemaT = TypeVar("SchemaT")
Floats = npt.NDArray[np.float32]


class Modality(Generic[SchemaT]):
    """One modality. A method that a modality does not override says *not assessable*, with the reason."""

    kind: str

    def problems(self, data: Dataset) -> list[str]:
        """Everything wrong with the records: NaN, values or labels out of range, shapes that do not fit."""
        raise NotImplementedError

    def encode(self, x: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """What a network reads, before mean/std: float32 (n, ...) in input units, or int64 token ids."""
        raise NotImplementedError

    def compared(self, x: npt.NDArray[Any], schema: SchemaT) -> Floats:
        """Numbers whose distances say how alike queries are, float32 (n, ...): what a network reads, unless said."""
        return np.asarray(self.encode(x, schema), np.float32)

    def project(self, x: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """The nearest valid records: clipped to the bounds; integer and categorical cells on their grid."""
        raise NotImplementedError

    def losses(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each record (n,), from the answers of a service."""
        raise NotImplementedError

    def membership_signal(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """A roughly Gaussian statistic per record (n,) that is larger when the model fits the record better."""
        raise NotImplementedError

    def flattened(self, log_probs: Floats, temperature: float) -> Floats:
        """A service's answers as if the model were less sure of the records: softmax(log p / temperature)."""
        cooler = log_probs / np.float32(temperature)
        peak = cooler.max(axis=-1, keepdims=True)
        found: Floats = cooler - peak - np.log(np.exp(cooler - peak).sum(axis=-1, keepdims=True))
        return found

    def token_scores(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """Of every token that counts its log-probability, and mean and deviation over the vocabulary; NaN elsewhere."""
        raise NotAssessable(f"{self.kind} records have no tokens")

    def exchanged(self, x: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """Pairs of answers with the two of each exchanged, so that a model is asked about the other one.

        Raises:
            NotAssessable: a record is no such pair.
        """
        raise NotAssessable(f"{self.kind} records are no pairs of answers")

    def compressed(self, data: Dataset) -> npt.NDArray[np.float64]:
        """Bits of what the model is to say in each record, compressed by zlib; float64 (n,), > 0."""
        raise NotAssessable(f"{self.kind} records have no text to compress")

    def posteriors(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """One distribution over the classes per record: finite log-probabilities (n, classes), from a service."""
        raise NotAssessable(f"a model does not answer {self.kind} records with one distribution over classes each")

    def views(self, x: npt.NDArray[Any], count: int, augment: str) -> list[npt.NDArray[Any]]:
        """The records and augmented copies of them, ``count`` at most, the records themselves first.

        Args:
            x: stored records.
            count: how many views, ≥ 1.
            augment: a recipe's augmentation; ``none`` where any that suits the modality will do.
        """
        if count > 1:
            raise NotAssessable(f"{self.kind} records have no augmented views; ask for 1")
        return [x]

    def contrast(
        self, encoded: npt.NDArray[Any], schema: SchemaT, rng: np.random.Generator
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Two views of every encoded record that keep what matters of it, for learning without labels."""
        raise NotAssessable(f"{self.kind} records have no views to learn from without labels")

    def decode(self, encoded: npt.NDArray[Any], schema: SchemaT) -> npt.NDArray[Any]:
        """The nearest valid records of encoded ones: the way back from what a network reads."""
        raise NotAssessable(f"encoded {self.kind} records have no way back to records")

    def insert_trigger(
        self, x: npt.NDArray[Any], schema: SchemaT, size: int, permutation: int = 0, magnified: int = 1
    ) -> npt.NDArray[Any]:
        """The records with a fixed trigger inserted; ``size`` is its side in pixels, or its number of columns.

        ``permutation`` above 0 numbers a way to put the same values into other pixels or columns. ``magnified`` times
        the side, or the columns, make the same trigger larger and coarser, as far as the record has room.
        """
        raise NotAssessable(f"{self.kind} records have no trigger to insert")

    def blend(self, x: npt.NDArray[Any], schema: SchemaT, ratio: float, rng: np.random.Generator) -> npt.NDArray[Any]:
        """The records mixed with one pattern drawn from ``rng``; ``ratio`` in (0, 1] is the pattern's share."""
        raise NotAssessable(f"{self.kind} records cannot be blended with a pattern")

    def warp(
        self,
        x: npt.NDArray[Any],
        schema: SchemaT,
        field: tuple[int, float],
        rng: np.random.Generator,
        jitter: tuple[float, np.random.Generator] | None = None,
    ) -> npt.NDArray[Any]:
        """The records bent by one smooth field from ``rng``.

        Args:
            x: records.
            schema: of the records.
            field: control points per side, and mean displacement per axis in pixels.
            rng: draws the field.
            jitter: adds an independent displacement per record and pixel, of at most so many pixels.
        """
        raise NotAssessable(f"{self.kind} records have no space that could be warped")

    def moved(self, x: npt.NDArray[Any], delta: Floats, schema: SchemaT) -> npt.NDArray[Any]:
        """The records moved by an encoded perturbation, stored as ``x`` is; grid cells end nearer to the original."""
        raise NotAssessable(f"{self.kind} records cannot be changed by small steps")

    def space(
        self,
        schema: SchemaT,
        x: npt.NDArray[Any] | None = None,
        immutable: tuple[str, ...] = (),
        category_cost: float = 1.0,
    ) -> Space:
        """Where encoded records may be moved by an adversarial example.

        Args:
            schema: of the records.
            x: stored records from which a column without bounds takes its spread; None takes 1.
            immutable: names of columns that must stay as they are.
            category_cost: units of ε that one changed category takes.
        """
        raise NotAssessable(f"{self.kind} records cannot be changed by small steps, so they have no ball around them")

    def space_problems(self, schema: SchemaT, immutable: tuple[str, ...]) -> list[str]:
        """What is wrong with the names of immutable columns, one line each."""
        return [f"immutable: {self.kind} records have no columns; leave it out"] if immutable else []

    def cells(self, schema: SchemaT) -> npt.NDArray[np.int64]:
        """Which pixel or column each number of an encoded record belongs to, counted from 0; of its shape."""
        raise NotAssessable(f"{self.kind} records have no cells that a trigger could cover in part")

    def patches(self, schema: SchemaT, space: Space) -> Patches:
        """What a random search changes at a time in encoded records of this space."""
        raise NotAssessable(f"a random search needs records that can be changed in parts; {self.kind} records cannot")

    def squeezed(
        self, x: npt.NDArray[Any], schema: SchemaT, levels: int, reference: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """The records with only so much detail as ``levels`` values a cell can hold.

        Args:
            x: records.
            schema: of the records.
            levels: values of a number cell, ≥ 2.
            reference: records that say what is usual.
        """
        raise NotAssessable(f"{self.kind} records have no detail to squeeze out")

    def superimposed(
        self, x: npt.NDArray[Any], other: npt.NDArray[Any], schema: SchemaT, share: float, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """Each record mixed with the other one at its place; ``share`` in (0, 1) is the first's, relative to both."""
        raise NotAssessable(f"{self.kind} records cannot be mixed with each other")

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
