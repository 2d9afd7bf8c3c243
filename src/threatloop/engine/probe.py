"""Measure what training and scoring cost here, in a fresh process: ``python -m threatloop.engine.probe``.

Reads one JSON object on standard input (architecture, schema, recipe, records, device) and prints one.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from threatloop.algorithms.training import RecipeTraining
from threatloop.algorithms.written_training import training_of
from threatloop.core.assets import SCHEMA, Architecture, Dataset
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.engine.model_tasks import OTHER_CHUNK, SHADOW_CHUNK
from threatloop.models.language.bases import remember
from threatloop.models.responder import batch_size_for

LEAST_SECONDS = 0.4


def probe(question: dict[str, Any]) -> dict[str, float]:
    """Seconds per training pass alone and in an ensemble, per scoring pass, and this process's peak memory."""
    schema = SCHEMA.validate_python(question["schema"])
    architecture = Architecture.model_validate(question["architecture"])
    recipe = Recipe.model_validate(question["recipe"])
    allow_code = bool(question["allow_code"])
    if allow_code:
        sys.path.insert(0, question["base"])
    remember(question["bases"])
    training = training_of(
        {"architecture": question["architecture"], "recipe": question["recipe"], "device": question["device"]},
        {"allow_code": allow_code},
    )
    batch = recipe.batch_size
    n = min(int(question["records"]), batch)
    data = _random_records(schema, n)
    size = SHADOW_CHUNK.get(architecture.name, OTHER_CHUNK)
    masks = np.ones((size, n), bool)
    train = _per_pass(lambda epochs: _with(training, recipe, epochs).fit(data, Streams(0)), n)
    streams = [Streams(k) for k in range(size)]
    many = train
    if architecture.name in SHADOW_CHUNK:
        many = _per_pass(lambda epochs: _with(training, recipe, epochs).fit_many(data, masks, streams), n * size)
    model = _with(training, recipe, 1).fit(data, Streams(0))
    service = training.serve(model)
    # A whole batch, as the tasks score them: its activations can be the largest thing that a worker holds.
    few = _random_records(schema, min(int(question["records"]), batch_size_for(schema))).x
    service.log_probs(few[:8])
    started, scored = time.perf_counter(), 0
    while time.perf_counter() - started < LEAST_SECONDS / 2:
        service.log_probs(few)
        scored += len(few)
    score = (time.perf_counter() - started) / scored
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return {"train": train, "train_many": many, "score": score, "memory": memory}


def _with(training: RecipeTraining, recipe: Recipe, epochs: int) -> RecipeTraining:
    fewer = recipe.model_copy(update={"epochs": epochs})
    return replace(training, recipe=fewer)


def _per_pass(train: Any, passes: int) -> float:
    """Seconds per pass. Quick trainings are repeated for a slope without their set-up; slow ones run twice."""
    train(1)
    started = time.perf_counter()
    train(1)
    one = time.perf_counter() - started
    if one > LEAST_SECONDS:
        return one / passes
    epochs = 1 + max(1, min(200, round(LEAST_SECONDS / max(one, 1e-4))))
    started = time.perf_counter()
    train(epochs)
    several = time.perf_counter() - started
    return max(several - one, several / epochs * 0.2) / ((epochs - 1) * passes)


def _random_records(schema: Any, n: int) -> Dataset:
    rng = np.random.default_rng(0)
    classes = len(schema.classes)
    y = rng.integers(0, classes, n)
    if schema.kind == "image":
        x: Any = rng.integers(0, 256, (n, schema.channels, schema.height, schema.width)).astype(np.uint8)
    elif schema.kind == "tabular":
        x = np.stack([_column(column, n, rng) for column in schema.columns], axis=1).astype(np.float32)
    else:
        x = rng.integers(97, 123, (n, schema.width)).astype(np.uint8)
    return Dataset(x, y.astype(np.int64), schema, np.arange(n))


def _column(column: Any, n: int, rng: np.random.Generator) -> Any:
    if column.kind == "categorical":
        return rng.integers(0, max(1, len(column.categories)), n)
    return rng.normal(size=n)


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.stdin.read()))))
