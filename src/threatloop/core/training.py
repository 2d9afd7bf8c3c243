"""Training as an attack or the engine may ask for it, without knowing how it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Service


class Training(Protocol):
    """How the victim is trained: the resource ``lifecycle`` of a Bench.

    Attributes:
        architecture: the victim's architecture.
        recipe: the victim's recipe.
    """

    @property
    def architecture(self) -> Architecture: ...

    @property
    def recipe(self) -> Recipe: ...

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: npt.NDArray[np.float32] | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        """A model trained on the data; ``soft_targets`` (n, classes), rows sum to 1, replace the labels."""

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n), as if each were trained alone on its records of the pool."""

    def answers(self, models: Sequence[Model], data: Dataset) -> npt.NDArray[np.float32]:
        """Log-probabilities (K, n, ...) of every model on every record."""

    def serve(self, model: Model) -> Service:
        """The model as a service that the caller owns with full access."""

    def module(self, model: Model) -> Any:
        """The network itself, in eval mode, for its owner."""

    def with_recipe(self, recipe: Recipe) -> Training:
        """The same training by another recipe."""
