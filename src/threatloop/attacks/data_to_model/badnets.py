"""BadNets: a visible trigger and a wrong label teach the victim a backdoor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.poisoning import (
    changed,
    chosen,
    class_problems,
    known_class,
    other_classes,
    rate_problems,
    trigger_size,
)
from threatloop.core.assets import Dataset
from threatloop.core.attack import AttackInfo, DataToModel, Direction
from threatloop.core.bench import Bench
from threatloop.core.schema import Schema
from threatloop.modality import of


class BadNets(DataToModel):
    """Stamps a trigger on some records of other classes and labels them as the target.

    Threat model: the attacker contributes records to the training set, chooses their content and labels, and knows
    nothing of the model. At test time he stamps the same trigger on any record to have it classed as the target.

    Returns the contribution with ``round(rate * n)`` records changed, order and ids as they were.

    Gu, Dolan-Gavitt, Garg 2017, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain",
    arXiv 1708.06733, section 4.

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        size: side of the trigger in pixels, or its number of columns; None for a seventh of the shorter side (or of
            the columns), at least 2.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="BadNets backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content and labels; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Gu, Dolan-Gavitt, Garg 2017, BadNets, arXiv 1708.06733, section 4",
        baseline="honest_contribution",
        atlas=("AML.T0020", "AML.T0018.000"),
    )

    rate: float = Field(default=0.1, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    size: int | None = Field(default=None, ge=1)

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record."""
        return class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A rate that exceeds the records of other classes."""
        return other_classes(self.target, self.rate, per_class)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: the target is no class, the rate rounds to no record or exceeds those of other classes, or the
                trigger is larger than a record.
            NotAssessable: records of this modality have no trigger.
        """
        known_class(self.target, data, "target")
        others = np.flatnonzero(data.y != self.target)
        rows = chosen(others, self.rate, len(data), bench.streams.numpy("poisoned"), "records of other classes")
        return changed(data, rows, self.stamp(data.take(rows)).x, self.target)

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the trigger inserted, labels as they were.

        Raises:
            InputError: the trigger is larger than a record.
            NotAssessable: records of this modality have no trigger.
        """
        return data.with_x(of(data.schema).insert_trigger(data.x, data.schema, self.size or trigger_size(data)))
