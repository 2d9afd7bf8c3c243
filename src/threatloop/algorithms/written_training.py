"""From a task's configuration to a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatloop.algorithms.language_training import LanguageTraining
from threatloop.algorithms.training import RecipeTraining, UserTraining
from threatloop.core.assets import Architecture
from threatloop.core.recipe import Recipe
from threatloop.models.language.loading import LANGUAGES


def training_of(written: Mapping[str, Any], local: Mapping[str, Any]) -> RecipeTraining:
    """The training that a task's configuration describes."""
    architecture = Architecture.model_validate(written["architecture"])
    recipe = Recipe.model_validate(written["recipe"])
    allow_code = bool(local.get("allow_code"))
    if written.get("function"):
        return UserTraining(architecture, recipe, written["device"], allow_code, written["function"])
    kind = LanguageTraining if architecture.name in LANGUAGES else RecipeTraining
    return kind(architecture, recipe, written["device"], allow_code)
