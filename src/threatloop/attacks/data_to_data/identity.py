"""The baseline of every attack that turns data into data: leave it as it is."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench
from threatloop.core.step import AttackInfo, Direction


class Identity(DataToData):
    """Returns the protected data unchanged: what the attacker holds without attacking. Never fails."""

    info: ClassVar[AttackInfo] = AttackInfo(
        title="No removal",
        direction=Direction.DATA_TO_DATA,
        knowledge="nothing",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=(),
        paper="baseline",
        baseline="identity",
        unchanged=True,
    )

    def transform(self, data: Dataset, bench: Bench) -> Dataset:  # noqa: ARG002
        return data
