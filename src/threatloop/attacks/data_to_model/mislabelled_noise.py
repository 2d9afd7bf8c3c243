"""Mislabelled replicas of records that nobody is after: the matched control of privacy poisoning."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.poisoning import appended, class_problems, mislabelled
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction


class MislabelledNoise(DataToModel):
    """Adds as many mislabelled replicas as `TruthSerum`, of random records of the contribution itself.

    Threat model: as there, without an aim. What a later membership probe gains behind Truth Serum and not behind
    this is owed to the choice of targets, not to wrong labels as such. The records are the attacker's own since
    membership behind a poisoning is never graded on those: nothing that is graded is touched.

    Returns the contribution, unchanged and in order, followed by ``targets * replicas`` records with ids −1.

    Tramèr et al. 2022, arXiv 2204.00032, section 4.2, against the noise that its poison is by itself.

    Attributes:
        targets: records that are replicated.
        replicas: copies of each, all with the same wrong label.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Mislabelled noise",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("accuracy_loss", "clean_accuracy"),
        paper="control of Tramèr et al. 2022, Truth Serum, arXiv 2204.00032",
        baseline="honest_contribution",
        atlas=("AML.T0020",),
        sweep="replicas",
        adds_records=True,
    )

    targets: int = Field(default=20, ge=2)
    replicas: int = Field(default=8, ge=0)

    def problems(self, schema: Schema, records: int) -> list[str]:
        """Fewer than two classes, or more replicated records than are contributed."""
        few = class_problems(1, len(schema.classes), "a second class, number")
        return few + ([self._too_many(records)] if records < self.targets else [])

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The contribution and mislabelled replicas of some of it.

        Raises:
            InputError: the contribution has fewer records than ``targets``, or fewer than two classes.
        """
        if len(data) < self.targets:
            raise InputError(self._too_many(len(data)))
        rows = bench.streams.numpy("replicated").choice(len(data), self.targets, replace=False)
        return appended(data, mislabelled(data.take(rows), self.replicas, bench.streams.numpy("wrong labels")))

    def _too_many(self, records: int) -> str:
        return f"targets {self.targets}: {records} records are contributed; use at most that many"
