"""Blended backdoor: a faint pattern over the whole record and a wrong label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.poisoning import changed, chosen, class_problems, known_class, other_classes, rate_problems
from threatloop.core.assets import Dataset
from threatloop.core.attack import AttackInfo, DataToModel, Direction
from threatloop.core.bench import Bench
from threatloop.core.schema import Schema
from threatloop.modality import of


class Blended(DataToModel):
    """Blends one key pattern into some records of other classes and labels them as the target.

    Threat model: the attacker contributes records to the training set, chooses their content and labels, and knows
    nothing of the model. At test time he blends the same pattern into any record.

    The pattern is one image of uniform noise, the paper's "random pattern"; for tables one row drawn uniformly
    within the bounds of every number column (not in the paper). ``key`` alone decides it, in training and at test time.

    Returns the contribution with ``round(rate * n)`` records changed, order and ids as they were.

    Chen, Liu, Li, Lu, Song 2017, "Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning",
    arXiv 1712.05526, section 3.3.1 (blended injection; 0.2 is their usual ratio).

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        ratio: the pattern's share of a poisoned record, in (0, 1].
        key: number of the pattern.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Blended backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content and labels; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Chen, Liu, Li, Lu, Song 2017, Targeted Backdoor Attacks Using Data Poisoning, arXiv 1712.05526, "
        "section 3.3.1",
        baseline="honest_contribution",
        atlas=("AML.T0020", "AML.T0018.000"),
    )

    rate: float = Field(default=0.1, gt=0, le=1)
    target: int = Field(default=0, ge=0)
    ratio: float = Field(default=0.2, gt=0, le=1)
    key: int = Field(default=0, ge=0)

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A target that is no class, a rate that rounds to no record."""
        return class_problems(self.target, len(schema.classes), "target") + rate_problems(self.rate, records)

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A rate that exceeds the records of other classes."""
        return other_classes(self.target, self.rate, per_class)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: the target is no class, the rate rounds to no record or exceeds those of other classes.
            NotAssessable: records of this kind cannot be blended.
        """
        known_class(self.target, data, "target")
        others = np.flatnonzero(data.y != self.target)
        rows = chosen(others, self.rate, len(data), bench.streams.numpy("poisoned"), "records of other classes")
        return changed(data, rows, self.stamp(data.take(rows)).x, self.target)

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the pattern blended in, labels as they were.

        Raises:
            NotAssessable: records of this kind cannot be blended.
        """
        pattern = np.random.default_rng((self.key, 0xB1E4D))
        return data.with_x(of(data.schema).blend(data.x, data.schema, self.ratio, pattern))
