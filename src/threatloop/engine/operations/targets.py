"""Records that an attacker is after, and the skewed records of a victim whose distribution he wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np

from threatloop.core.assets import Dataset
from threatloop.engine.operations.act import attack_of
from threatloop.engine.products import Product
from threatloop.engine.task import Task


class Skews(Protocol):
    """An attack on the distribution of the victim's training data."""

    def skew(self, own: Dataset, world: int, rng: np.random.Generator) -> Dataset:
        """The victim's own records in world 0 or 1; as many in both."""


def targets(task: Task, inputs: Mapping[str, Product]) -> Product:
    """``count`` random records; with ``members`` and ``nonmembers``, half of each, in random order."""
    data: Dataset = inputs["data"].value
    rng, count = task.streams.numpy("targets"), int(task.config["count"])
    if "members" not in inputs:
        return Product(data.take(rng.permutation(len(data))[:count]))
    sides = (np.isin(data.ids, inputs[name].value.ids) for name in ("members", "nonmembers"))
    inside, outside = (rng.permutation(np.flatnonzero(side)) for side in sides)
    chosen = np.concatenate([inside[: count // 2], outside[: count - count // 2]])
    return Product(data.take(rng.permutation(chosen)))


def skewed(task: Task, inputs: Mapping[str, Product]) -> Product:
    """The victim's own records in a world that a fair coin chose. Fact ``world``: 0 or 1."""
    attack = cast("Skews", attack_of(task.config["attack"]))
    world = int(task.streams.numpy("world").integers(2))
    return Product(attack.skew(inputs["own"].value, world, task.streams.numpy("skew")), {"world": world})
