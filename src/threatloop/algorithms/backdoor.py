"""A backdoor planted with a trigger and a wrong label, in the open or under cover."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.poisoning import changed, chosen, class_problems, known_class, other_classes, rate_problems
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel, Step
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema

Rows = npt.NDArray[np.int64]
UNDER_COVER = {"cover": 1.0, "planted": 0.5}
"""As in the paper's Adaptive-Blend: as much cover as poison, half of the trigger."""


class OpenBackdoor(DataToModel):
    """A trigger on some records of other classes, which are labelled as the target.

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        cover: triggered records that keep their labels, for each poisoned one, so that the trigger alone does not part
            poison from clean records.
        planted: share of the trigger's cells that each crafted record carries, at random, in (0, 1]; at test time all.
    """

    rate: float = Field(default=0.1, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    cover: float = Field(default=0.0, ge=0)
    planted: float = Field(default=1.0, gt=0, le=1)

    @abstractmethod
    def stamp(self, data: Dataset) -> Dataset:
        """The records with the whole trigger, labels as they were."""

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record or leaves none for cover."""
        found = class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)
        return found + ([self._too_many()] if self.rate * (1 + self.cover) > 1 else [])

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A rate that exceeds the records of other classes."""
        return other_classes(self.target, self.rate, per_class)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Under cover where poison is looked for, with as many crafted records as before."""
        forms = super().adapted(to)
        return (*forms, self.covered()) if Adaptation.STEALTH in to and not self.cover else forms

    def covered(self) -> Self:
        """The same under cover: cover records and poisoned ones are together as many as the poisoned ones here.

        Qi, Xie, Li, Mahloujifar, Mittal 2023, "Revisiting the Assumption of Latent Separability for Backdoor Defenses",
        ICLR, section 4: cover records, and a part of the trigger in training.
        """
        return self.model_copy(update={**UNDER_COVER, "rate": self.rate / (1 + UNDER_COVER["cover"])})

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: the target is no class, the rate rounds to no record, exceeds those of other classes or leaves
                none for cover; or the trigger does not fit a record.
            NotAssessable: records of this modality cannot carry the trigger.
        """
        known_class(self.target, data, "target")
        rng = bench.streams.numpy("poisoned")
        others = np.flatnonzero(data.y != self.target)
        rows = chosen(others, self.rate, len(data), rng, "records of other classes")
        cells = bench.streams.numpy("cells")
        poisoned = changed(data, rows, self._planted(data.take(rows), cells), self.target)
        extra, left = round(self.cover * len(rows)), np.setdiff1d(others, rows)
        if not extra:
            return poisoned
        if extra > len(left):
            raise InputError(self._too_many())
        covering: Rows = np.sort(rng.choice(left, size=extra, replace=False))
        return changed(poisoned, covering, self._planted(data.take(covering), cells))

    def _planted(self, data: Dataset, rng: np.random.Generator) -> npt.NDArray[Any]:
        """The records with as much of the trigger as is planted."""
        stamped = self.stamp(data).x
        if self.planted == 1:
            return stamped
        return np.where(rng.random(data.x.shape) < self.planted, stamped, data.x)

    def _too_many(self) -> str:
        return (
            f"rate {self.rate:g} with cover {self.cover:g} asks for more records than there are; use a rate of at "
            f"most {1 / (1 + self.cover):.3g}"
        )
