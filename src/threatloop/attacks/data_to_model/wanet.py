"""WaNet: a smooth, hardly visible warp as the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.poisoning import changed, chosen, class_problems, known_class, other_classes, rate_problems
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Step
from threatloop.modality import of

SMALLEST_SIDE = 4
"""In pixels; below it there is nothing to bend."""
NOISE = 2.0
"""Largest random displacement of the noise mode, in units of the field's mean: as in the paper, where one is a half."""


class WaNet(DataToModel):
    """Bends some records of other classes by one smooth field and labels them as the target.

    Threat model: the attacker contributes records, chooses their content and labels, and knows nothing of the model.
    At test time he bends any record by the same field. In noise mode, ``cross`` times as many other records are bent
    by the field and a random displacement besides and keep their true labels, so that only the exact warp counts.

    The paper's attacker controls training and warps afresh in every batch; this one contributes a fixed set of records,
    which needs a stronger field: 2.8 pixels at 28 on average over the control points, where the paper's is at most half
    a pixel. It is no longer invisible.

    Returns the contribution with ``round(rate * n)`` records bent and relabelled and ``round(cross * rate * n)`` bent
    only, order and ids as they were.

    Nguyen, Tran 2021, "WaNet - Imperceptible Warping-based Backdoor Attack", arXiv 2102.10369, sections 3.2 and 3.3.

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that bent records are to be taken for.
        points: control points per side of the field.
        strength: mean displacement of the control points per axis, as a share of the shorter side.
        cross: records of the noise mode, for each poisoned one; 0 for the attack without it.
        key: number of the field.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="WaNet warping backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content and labels; nothing of the model",
        modalities=frozenset({"image"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Nguyen, Tran 2021, WaNet - Imperceptible Warping-based Backdoor Attack, arXiv 2102.10369, section 3",
        baseline="honest_contribution",
        atlas=("AML.T0020", "AML.T0018.000"),
    )

    rate: float = Field(default=0.1, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    points: int = Field(default=4, ge=2, le=64)
    strength: float = Field(default=0.1, gt=0, lt=1)
    cross: float = Field(default=2.0, ge=0)
    key: int = Field(default=0, ge=0)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Its noise mode is cover from those who look for poison; where triggers are forgotten or inputs are changed, a
        stronger bend."""
        forms = list(super().adapted(to))
        if Adaptation.STEALTH in to and self.cross > 0:
            forms.append(self)
        if to & {Adaptation.EMPHASIS, Adaptation.ENDURANCE}:
            forms.append(self.model_copy(update={"strength": min(2 * self.strength, 0.5)}))
        return tuple(forms)

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record or leaves none for the noise mode."""
        found = class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)
        return found + ([self._too_many()] if self.rate * (1 + self.cross) > 1 else [])

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A rate that exceeds the records of other classes."""
        return other_classes(self.target, self.rate, per_class)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: the target is no class, the rate rounds to no record, exceeds those of other classes or leaves
                none for the noise mode.
            NotAssessable: records of this kind cannot be warped.
        """
        known_class(self.target, data, "target")
        rng = bench.streams.numpy("poisoned")
        others = np.flatnonzero(data.y != self.target)
        rows = chosen(others, self.rate, len(data), rng, "records of other classes")
        poisoned = changed(data, rows, self.stamp(data.take(rows)).x, self.target)
        extra, left = round(self.cross * len(rows)), np.setdiff1d(np.arange(len(data)), rows)
        if extra > len(left):
            raise InputError(self._too_many())
        crossed = np.sort(rng.choice(left, size=extra, replace=False))
        noise = bench.streams.numpy("cross")
        return changed(poisoned, crossed, self._bent(data.take(crossed), noise).x)

    def stamp(self, data: Dataset) -> Dataset:
        """The records bent by the field, labels as they were.

        Raises:
            NotAssessable: records of this kind cannot be warped.
        """
        return self._bent(data, None)

    def _bent(self, data: Dataset, noise: np.random.Generator | None) -> Dataset:
        shorter = min(data.x.shape[1:][-2:])
        if shorter < SMALLEST_SIDE:
            raise NotAssessable(f"a warp needs records of at least {SMALLEST_SIDE} pixels a side; these have {shorter}")
        pixels = self.strength * shorter
        field = (min(self.points, shorter), pixels)
        jitter = None if noise is None else (NOISE * pixels, noise)
        warped = of(data.schema).warp(data.x, data.schema, field, np.random.default_rng((self.key, 0x3A4)), jitter)
        return data.with_x(warped)

    def _too_many(self) -> str:
        return (
            f"rate {self.rate:g} with cross {self.cross:g} asks for more records than there are; use a rate of at "
            f"most {1 / (1 + self.cross):.3g}"
        )
