"""A small world for attacks on a model's training data: digits, divided into roles, and models trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model, Shadows, concatenate
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Column, ImageSchema, TabularSchema, TextSchema
from threatloop.core.seeds import Streams

STREAMS = Streams(11, ("m2d",))
TRAINING = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [64, 64]}), Recipe(epochs=30))


def digits() -> Dataset:
    raw = load_digits()
    schema = ImageSchema(classes=tuple("0123456789"), channels=1, height=8, width=8)
    x = np.rint(raw.images * (255 / 16)).astype(np.uint8)[:, None]
    return Dataset(x, raw.target.astype(np.int64), schema, np.arange(len(x)))


def breast_cancer() -> Dataset:
    raw = load_breast_cancer()
    bounds = zip(raw.feature_names, raw.data.min(0), raw.data.max(0), strict=True)
    columns = tuple(Column(name=str(name), low=float(low), high=float(high)) for name, low, high in bounds)
    schema = TabularSchema(classes=("malignant", "benign"), columns=columns)
    return Dataset(raw.data.astype(np.float32), raw.target.astype(np.int64), schema, np.arange(len(raw.data)))


def letters(n: int, rng: np.random.Generator) -> Dataset:
    """Random words of 4 to 8 letters out of 5."""
    schema = TextSchema(width=8)
    x = rng.integers(ord("a"), ord("f"), size=(n, 8)).astype(np.uint8)
    x[np.arange(8) >= rng.integers(4, 9, size=n)[:, None]] = 0
    return Dataset(x, np.zeros(n, np.int64), schema, np.arange(n))


@dataclass(frozen=True)
class World:
    """Roles of one data set and the models of one seed; roles never overlap, except that candidates gather others."""

    members: Dataset
    nonmembers: Dataset
    pool: Dataset
    candidates: Dataset
    everything: Dataset
    victim: Model
    stranger: Model
    evaluator: Model
    shadows: Shadows
    training: RecipeTraining = TRAINING

    def bench(self, *names: Resource, role: str = "attack") -> Bench:
        held = {
            Resource.QUERY_POOL: self.pool,
            Resource.CANDIDATES: self.candidates,
            Resource.SHADOWS: self.shadows,
            Resource.LIFECYCLE: self.training,
        }
        return Bench(STREAMS.child(role), {name: held[name] for name in names}, Progress())

    def case(self, outcome: Any, attack: Any, facts: Mapping[str, Any] | None = None) -> Case:
        truths = {
            "outcome": outcome,
            "candidates": self.candidates,
            "members": self.members,
            "nonmembers": self.nonmembers,
            "evaluator": self.evaluator,
            "held": self.pool,
        }
        return Case(truths, attack, STREAMS.child("judge"), facts=facts or {})


def build(data: Dataset, training: RecipeTraining = TRAINING, shadows: int = 16) -> World:
    """``victim`` is trained on the members, ``stranger`` on the pool only."""
    rng = STREAMS.numpy("roles")
    third = len(data) // 3
    order = rng.permutation(len(data))
    members, nonmembers, pool = (data.take(order[i * third : (i + 1) * third]) for i in range(3))
    candidates = concatenate([members, nonmembers]).take(rng.permutation(2 * third))
    masks = np.argsort(rng.random((shadows, 2 * third)), axis=0) < shadows // 2
    models = training.fit_many(candidates, masks, [STREAMS.child(f"shadow-{k}") for k in range(shadows)])
    return World(
        members,
        nonmembers,
        pool,
        candidates,
        data,
        training.fit(members, STREAMS.child("victim")),
        training.fit(pool, STREAMS.child("stranger")),
        training.fit(data, STREAMS.child("evaluator")),
        Shadows(tuple(models), masks, training.answers(models, candidates)),
        training,
    )
