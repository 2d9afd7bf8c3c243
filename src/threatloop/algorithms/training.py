"""Training by a recipe, or by the user's own function: one object for victims, shadows, clones and judges."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.ensemble import ensemble_log_probs, fit_ensemble
from threatloop.algorithms.fit import fit
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.models.build import build, load
from threatloop.models.device import resolve
from threatloop.models.network import dump
from threatloop.models.responder import local_service

Soft = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RecipeTraining:
    """Training by a recipe of ours.

    Attributes:
        architecture: of the victim.
        recipe: of the victim.
        device: where to train.
        allow_code: the architecture may name the user's code.
    """

    architecture: Architecture
    recipe: Recipe
    device: str = "cpu"
    allow_code: bool = False

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: Soft | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        """See `threatloop.core.training.Training.fit`."""
        return fit(
            architecture or (init.architecture if init is not None else self.architecture),
            data,
            recipe or self.recipe,
            streams,
            soft_targets=soft_targets,
            init=init,
            device=self.device,
            allow_code=self.allow_code,
        )

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n), as if each were trained alone on its records."""
        return fit_ensemble(
            self.architecture, pool, masks, self.recipe, streams, device=self.device, allow_code=self.allow_code
        )

    def answers(self, models: Sequence[Model], data: Dataset) -> npt.NDArray[np.float32]:
        """Log-probabilities (K, n, ...) of every model on every record."""
        return ensemble_log_probs(models, data, device=self.device, allow_code=self.allow_code)

    def serve(self, model: Model) -> Service:
        """The model as a service that the caller owns."""
        return local_service(model, device=self.device, allow_code=self.allow_code)

    def module(self, model: Model) -> Any:
        """The network, in eval mode."""
        return load(model, resolve(self.device), allow_code=self.allow_code)

    def with_recipe(self, recipe: Recipe) -> RecipeTraining:
        """The same training by another recipe."""
        return replace(self, recipe=recipe)


@dataclass(frozen=True)
class UserTraining(RecipeTraining):
    """Training by the user's own function, called as is for hard labels from scratch; the recipe serves the rest.

    The function takes ``(data: Dataset, seed: int)`` and returns a module of the target's architecture.
    """

    function: str = ""

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: Soft | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        """The user's function, unless the caller asks for something that it cannot do.

        Raises:
            InputError: the function cannot be imported, or returns no module of the architecture.
        """
        if soft_targets is not None or architecture is not None or recipe is not None or init is not None:
            given = {"soft_targets": soft_targets, "architecture": architecture, "recipe": recipe, "init": init}
            return super().fit(data, streams, **given)  # type: ignore[arg-type]
        trained = user_function(self.function, self.allow_code)(data, streams.integer("user", 31))
        network = build(self.architecture, data.schema, torch.Generator().manual_seed(0), allow_code=self.allow_code)
        try:
            network.body.load_state_dict(trained.state_dict())
        except (AttributeError, RuntimeError) as error:
            name = self.architecture.name
            raise InputError(
                f"{self.function} must return a torch module of the architecture {name}: {error}"
            ) from None
        return dump(network, self.architecture, data.schema, {"trained_by": self.function})

    def with_recipe(self, recipe: Recipe) -> RecipeTraining:  # noqa: ARG002
        """Training by this recipe: the user's function has its own, which nobody else can change.

        Raises:
            NotAssessable: always.
        """
        raise NotAssessable(f"{self.function} trains by a recipe of its own, which a defence cannot change")

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One call of the user's function per row of ``masks``."""
        return [self.fit(pool.take(mask), stream) for mask, stream in zip(masks, streams, strict=True)]


def user_function(path: str, allow_code: bool) -> Callable[..., Any]:
    """The user's ``module:function``.

    Raises:
        InputError: code is not allowed, or there is no such function.
    """
    if not allow_code:
        raise InputError(f"the spec names code ({path}); read it, then allow it with --allow-code")
    module, _, name = path.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{path}: {error}; give module:function of something importable from here") from None
    return found
