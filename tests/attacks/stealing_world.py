"""A small victim on digits, and what its attacker holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.modality import of

MLP = Architecture(name="mlp", parameters={"hidden": (64,)})


@dataclass(frozen=True)
class World:
    streams: Streams
    members: Dataset
    pool: Dataset
    test: Dataset
    out: Dataset
    training: RecipeTraining
    victim: Model

    def bench(self, **more: Any) -> Bench:
        held: dict[Resource, Any] = {
            Resource.QUERY_POOL: self.pool,
            Resource.OUT_OF_DISTRIBUTION: self.out,
            Resource.LIFECYCLE: self.training,
        }
        return Bench(self.streams.child("attack"), held | {Resource(name): value for name, value in more.items()})


@cache
def digits() -> Dataset:
    return Embedded(embedded="digits").read(Path()).dataset


@cache
def world(seed: int = 0) -> World:
    data, streams = digits(), Streams(1, (f"seed{seed}",))
    order = streams.numpy("split").permutation(len(data))
    members, pool, test = (data.take(rows) for rows in np.split(order, [700, 1200]))
    training = RecipeTraining(MLP, Recipe(epochs=40))
    noise = of(data.schema).noise_records(data.schema, 600, streams.numpy("out"))
    out = Dataset(noise, streams.numpy("labels").integers(0, 10, 600), data.schema, np.full(600, -1))
    return World(streams, members, pool, test, out, training, training.fit(members, streams.child("victim")))
