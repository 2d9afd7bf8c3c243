"""Honest training: what every poison is compared with."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.step import AttackInfo, Direction


class HonestContribution(DataToModel):
    """Hands over the contribution as it is."""

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Honest contribution",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("clean_accuracy",),
        paper="none: the baseline of attacks on training data",
        baseline="honest_contribution",
        unchanged=True,
    )

    def craft(self, data: Dataset, bench: Bench) -> Dataset:  # noqa: ARG002
        """The same records."""
        return data
