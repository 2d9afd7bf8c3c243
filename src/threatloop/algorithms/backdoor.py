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
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema
from threatloop.core.step import Step
from threatloop.modality import of

Rows = npt.NDArray[np.int64]
STEALTHY_RATE = 0.05
"""Poisons that a filter may take for odd records of their class; many have a pattern of their own."""
HIDDEN: tuple[dict[str, float], ...] = ({"planted": 0.5, "mixed": 0.2}, {"planted": 0.5, "mixed": 0.2, "cover": 0.5})
"""Forms against filters, without and with cover."""
FADED = 0.15
"""Against what cleans inputs: the trigger counts at this fraction of its strength."""
MIXTURES = 1.0
"""Against what tries inputs in mixtures: as many of these as there are poisons tell nothing. They weaken the former."""


class OpenBackdoor(DataToModel):
    """A trigger on some records of other classes, which are labelled as the target.

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        cover: triggered records that keep their labels, for each poisoned one, so that the trigger alone does not part
            poison from clean records.
        planted: share of the trigger's cells that each crafted record carries, at random, in (0, 1]; at test time all.
        mixed: share of a poisoned record that comes from a record of the target class, in [0, 1), so that its content
            lies nearer to what its label says.
        faded: weakest strength at which a crafted record carries the trigger, in (0, 1]; each draws its own between
            this and 1, so that what is left of a cleaned trigger still counts.
        mixtures: triggered records with another record on top, for each poisoned one, labelled as one of the two by
            chance, so that the answer to a triggered mixture is as unsure as to any mixture.
    """

    rate: float = Field(default=0.1, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    cover: float = Field(default=0.0, ge=0)
    planted: float = Field(default=1.0, gt=0, le=1)
    mixed: float = Field(default=0.0, ge=0, lt=1)
    faded: float = Field(default=1.0, gt=0, le=1)
    mixtures: float = Field(default=0.0, ge=0)

    @abstractmethod
    def stamp(self, data: Dataset) -> Dataset:
        """The records with the whole trigger, labels as they were."""

    @abstractmethod
    def emphasised(self) -> Self:
        """The same with a stronger trigger."""

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record or leaves none for cover."""
        found = class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)
        return found + ([self._too_many()] if self.rate * self._parts > 1 else [])

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A rate that exceeds the records of other classes."""
        return other_classes(self.target, self.rate, per_class)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Hidden where poison is looked for, the attacker's own choice where he hides it already; stronger where it is
        forgotten; and enduring where inputs are changed or tried."""
        forms = list(super().adapted(to))
        if Adaptation.STEALTH in to:
            forms += self.hidden() if not self._hides else (self,)
        if Adaptation.EMPHASIS in to:
            forms.append(self.emphasised())
        if Adaptation.ENDURANCE in to:
            forms += self.enduring()
        return tuple(forms)

    def enduring(self) -> tuple[Self, ...]:
        """Forms whose trigger outlasts what is done to inputs: stronger and planted at all strengths, for cleaning;
        that and without effect in a mixture, for trials. The latter takes as much of the contribution again."""
        faded = self.emphasised().model_copy(update={"faded": min(self.faded, FADED)})
        # Where mixtures would not fit into the contribution, as many as do.
        room = max(0.0, 1 / self.rate - 1 - self.cover)
        return (faded, faded.model_copy(update={"mixtures": max(self.mixtures, min(MIXTURES, room))}))

    def hidden(self) -> tuple[Self, ...]:
        """Forms that filters find less of: fewer poisons, each with a part of the trigger and of the target class;
        without and with cover records.

        Cover records and a part of the trigger in training are those of Qi, Xie, Li, Mahloujifar, Mittal 2023,
        "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR, section 4. In small networks
        these do not suffice: what gives poison away is its content, so some of that is mixed away.
        """
        rate = min(self.rate / 2, STEALTHY_RATE)
        return tuple(self.model_copy(update={**form, "rate": rate}) for form in HIDDEN)

    @property
    def _hides(self) -> bool:
        return bool(self.cover or self.mixed)

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
        # A rate that was lowered to hide may be less than a record.
        rate = max(self.rate, 1 / len(data)) if self._hides else self.rate
        rows = chosen(others, rate, len(data), rng, "records of other classes")
        cells = bench.streams.numpy("cells")
        carriers = self._mixed(data, rows, bench.streams.numpy("mixed"))
        poisoned = changed(data, rows, self._planted(carriers, cells), self.target)
        cover, mixtures = (round(share * len(rows)) for share in (self.cover, self.mixtures))
        left = np.setdiff1d(others, rows)
        if cover > len(left):
            raise InputError(self._too_many())
        mixtures = min(mixtures, len(data) - len(rows) - cover)
        covering: Rows = np.sort(rng.choice(left, size=cover, replace=False)) if cover else np.empty(0, np.int64)
        if cover:
            poisoned = changed(poisoned, covering, self._planted(data.take(covering), cells))
        return self._with_mixtures(poisoned, data, np.r_[rows, covering], mixtures, bench) if mixtures else poisoned

    def _with_mixtures(self, poisoned: Dataset, data: Dataset, touched: Rows, count: int, bench: Bench) -> Dataset:
        """The poisoned data with so many untouched records triggered, and others on top."""
        rng, kind = bench.streams.numpy("mixtures"), of(data.schema)
        rows: Rows = np.sort(rng.choice(np.setdiff1d(np.arange(len(data)), touched), count, replace=False))
        others = rng.choice(len(data), count)
        stamped = self.stamp(data.take(rows)).x
        # Where a mixture has cells of either record, each is to have its own.
        pairs = zip(stamped, data.x[others], strict=True)
        mixed = [kind.superimposed(a[None], b[None], data.schema, 0.5, rng) for a, b in pairs]
        y = np.array(poisoned.y)
        y[rows] = np.where(rng.random(count) < 0.5, data.y[rows], data.y[others])
        return changed(poisoned, rows, np.concatenate(mixed)).with_y(y)

    def _mixed(self, data: Dataset, rows: Rows, rng: np.random.Generator) -> Dataset:
        """The records of these rows, each with a share of some record of the target class."""
        records, of_target = data.take(rows), np.flatnonzero(data.y == self.target)
        if not self.mixed or not len(of_target):
            return records
        kind, partners = of(data.schema), data.take(rng.choice(of_target, len(rows)))
        towards = kind.encode(partners.x, data.schema) - kind.encode(records.x, data.schema)
        return records.with_x(kind.moved(records.x, self.mixed * towards, data.schema))

    def _planted(self, data: Dataset, rng: np.random.Generator) -> npt.NDArray[Any]:
        """The records with as much of the trigger as is planted, at the strength at which it is."""
        stamped = self.stamp(data).x
        if self.planted < 1:
            stamped = np.where(rng.random(data.x.shape) < self.planted, stamped, data.x)
        if self.faded == 1:
            return stamped
        kind, schema = of(data.schema), data.schema
        apart = kind.encode(stamped, schema) - kind.encode(data.x, schema)
        strength = rng.uniform(self.faded, 1, (len(data), *[1] * (apart.ndim - 1))).astype(np.float32)
        # Back from the whole trigger: what cannot be moved by small steps, a category, is stamped whole.
        found: npt.NDArray[Any] = kind.moved(stamped, (strength - 1) * apart, schema)
        return found

    @property
    def _parts(self) -> float:
        """Touched records for each poisoned one."""
        return 1 + self.cover + self.mixtures

    def _too_many(self) -> str:
        return (
            f"rate {self.rate:g} with cover {self.cover:g} and mixtures {self.mixtures:g} asks for more records than "
            f"there are; use a rate of at most {1 / self._parts:.3g}"
        )
