"""Tables with one column that a model remembers, uses, or never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threatloop.algorithms.training import RecipeTraining
from threatloop.core.access import BLACK_BOX
from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Column, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.core.step import Outcome
from threatloop.metrics.attribute_inference import AttributeInferred
from threatloop.models.responder import local_service

STREAMS = Streams(5, ("attribute",))
TRAINING = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [64]}), Recipe(epochs=60))
COLOURS = ("red", "green", "blue")


def table(n: int, seed: int, *, uses: bool) -> Dataset:
    """Six numbers and a colour that does not depend on them; the label is the colour's (``uses``), or anything."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(3, size=n)
    numbers = rng.normal(size=(n, 6))
    columns = (Column(name="colour", kind="categorical", categories=COLOURS), *(Column(name=f"v{i}") for i in range(6)))
    schema = TabularSchema(classes=("a", "b", "c"), columns=columns)
    noise = rng.integers(3, size=n)
    y = np.where(rng.random(n) < 0.8, (colour + (numbers[:, 0] > 0)) % 3, noise) if uses else noise
    return Dataset(np.column_stack([colour, numbers]).astype(np.float32), y, schema, np.arange(n))


@dataclass(frozen=True)
class World:
    """Members, others, and the attacker's records; a model trained on the members and one that saw none of them."""

    members: Dataset
    candidates: Dataset
    pool: Dataset
    victim: Model
    stranger: Model

    def run(self, probe: Probe[Service], model: Model, limit: int | None = None) -> Outcome[object]:
        held = {
            Resource.PARTIAL: probe.hidden(self.candidates),  # type: ignore[attr-defined]
            Resource.QUERY_POOL: self.pool,
            Resource.LIFECYCLE: TRAINING,
        }
        bench = Bench(STREAMS, {name: held[name] for name in probe.info.resources})
        return probe.run(local_service(model, BLACK_BOX, limit), bench)

    def graded(
        self, probe: Probe[Service], model: Model, limit: int | None = None
    ) -> dict[str, tuple[float, float, float]]:
        """Value, low and high end of every reading."""
        truths = {"outcome": self.run(probe, model, limit).result, "candidates": self.candidates}
        case = Case({**truths, "members": self.members, "held": self.pool}, probe, STREAMS)  # type: ignore[dict-item]
        readings = AttributeInferred().grade(case).readings
        return {r.metric: (r.value, r.low, r.high) for r in readings if None not in (r.value, r.low, r.high)}  # type: ignore[misc]


def build(data: Dataset) -> World:
    third = len(data) // 3
    members, others, pool = (data.take(slice(i * third, (i + 1) * third)) for i in range(3))
    order = np.random.default_rng(2).permutation(2 * third)
    fit = TRAINING.fit
    return World(
        members,
        concatenate([members, others]).take(order),
        pool,
        fit(members, STREAMS.child("victim")),
        fit(pool, STREAMS.child("stranger")),
    )
