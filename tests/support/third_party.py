"""Attacks that a third party might write, good and bad. Tests enable them as rows of the catalogue."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import DataToModel, Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


def about(direction: Direction, **more: Any) -> AttackInfo:
    """Facts of an attack, completed for a test."""
    whole: dict[str, Any] = {
        "title": "A third party's attack",
        "direction": direction,
        "knowledge": "nothing",
        "modalities": frozenset({"image", "tabular"}),
        "metrics": ("membership",) if direction is Direction.MODEL_TO_DATA else ("clean_accuracy",),
        "paper": "Nobody 2024, In a test",
        "baseline": "prior_membership" if direction is Direction.MODEL_TO_DATA else "honest_contribution",
        **more,
    }
    return AttackInfo(**whole)


class Shuffled(DataToModel):
    """Gives every record of the contribution another one's label."""

    info: ClassVar[AttackInfo] = about(Direction.DATA_TO_MODEL)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        return data.with_y(bench.streams.numpy("order").permutation(data.y))


class Exploding(DataToModel):
    """Raises."""

    info: ClassVar[AttackInfo] = about(Direction.DATA_TO_MODEL)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        raise RuntimeError(f"broke on {len(data)} records\nand {bench.streams.path[0]}")


class Greedy(Probe[Service]):
    """Uses the shadow models without having declared them."""

    info: ClassVar[AttackInfo] = about(
        Direction.MODEL_TO_DATA, needs=frozenset({Capability.SCORES}), resources=frozenset({Resource.CANDIDATES})
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        return Evidence({"score": bench.resource(Resource.SHADOWS).log_probs.mean(axis=0)})


class Peeking(Probe[Service]):
    """Declares labels and reads the weights."""

    info: ClassVar[AttackInfo] = about(
        Direction.MODEL_TO_DATA, needs=frozenset({Capability.LABELS}), resources=frozenset({Resource.CANDIDATES})
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:
        weights = source.model().weights
        return Evidence({"score": np.full(len(bench.data(Resource.CANDIDATES)), len(weights), np.float64)})
