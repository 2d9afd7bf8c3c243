"""Recipes that converge, where the user states none."""

from __future__ import annotations

import math

from threatloop.core.assets import Architecture
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Schema

_BY_NAME = {
    "mlp": Recipe(epochs=40, batch_size=64, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4),
    "cnn": Recipe(epochs=10, batch_size=64, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4),
    "resnet18": Recipe(
        epochs=15,
        batch_size=128,
        optimiser="sgd",
        learning_rate=0.05,
        weight_decay=5e-4,
        augment="shift_flip",
    ),
    "gpt": Recipe(epochs=4, batch_size=32, optimiser="adam", learning_rate=3e-3, weight_decay=0.01),
}
_BY_KIND = {"image": "cnn", "tabular": "mlp", "text": "gpt"}
FEWEST_STEPS = 200
"""Small data sets get more epochs, until there are this many steps."""
FEWEST_ADAM_STEPS = 600
"""The same for the transformer, which learns spelling before anything else."""


def default_recipe(schema: Schema, architecture: Architecture, n: int) -> Recipe:
    """A recipe with which this architecture converges on ``n`` records of this kind; the user's own networks train
    like the built-in network of their kind of record."""
    recipe = _BY_NAME.get(architecture.name, _BY_NAME[_BY_KIND[schema.kind]])
    steps = max(1, math.ceil(n / recipe.batch_size))
    fewest = FEWEST_ADAM_STEPS if recipe.optimiser == "adam" else FEWEST_STEPS
    return recipe.model_copy(update={"epochs": max(recipe.epochs, math.ceil(fewest / steps))})


def default_architecture(schema: Schema) -> Architecture:
    """The built-in architecture for records of this kind, where the user names none."""
    return Architecture(name=_BY_KIND[schema.kind])
