"""Training with defences in it, as an attack or the engine may ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.ensemble import check_masks
from threatloop.algorithms.fit_by_method import fit_by_method
from threatloop.algorithms.method import Method
from threatloop.algorithms.training import RecipeTraining, Soft, UserTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

PLAIN = Method()


@dataclass(frozen=True)
class MethodTraining(RecipeTraining):
    """Training by a recipe of ours and by what defences added to it, in whatever order.

    Soft targets, another architecture, recipe or start are trained with those parts of the method that act on every
    step.

    Attributes:
        method: what was added.
    """

    method: Method = PLAIN

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
        return fit_by_method(
            architecture or (init.architecture if init is not None else self.architecture),
            data,
            [np.arange(len(data))],
            recipe or self.recipe,
            [streams],
            self.method,
            soft_targets=soft_targets,
            init=init,
            device=self.device,
            allow_code=self.allow_code,
        )[0]

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n), as if each were trained alone on its records."""
        check_masks(masks, streams, len(pool))
        return fit_by_method(
            self.architecture,
            pool,
            [np.flatnonzero(mask) for mask in masks],
            self.recipe,
            streams,
            self.method,
            device=self.device,
            allow_code=self.allow_code,
        )


def with_parts(training: Training, *, parameters: dict[str, Any] | None = None, **parts: Any) -> MethodTraining:
    """The same training with more parts of its method.

    Args:
        training: by a recipe of ours.
        parameters: of the architecture, to be changed.
        parts: fields of `Method`.

    Raises:
        NotAssessable: the training is the user's own function.
    """
    if isinstance(training, UserTraining) or not isinstance(training, RecipeTraining):
        name = getattr(training, "function", type(training).__name__)
        raise NotAssessable(f"{name} trains in a way of its own, which a defence cannot change")
    known = training.method if isinstance(training, MethodTraining) else PLAIN
    architecture = training.architecture
    if parameters:
        architecture = architecture.model_copy(update={"parameters": {**architecture.parameters, **parameters}})
    method = replace(known, **parts)
    if isinstance(training, MethodTraining):
        return replace(training, architecture=architecture, method=method)
    return MethodTraining(architecture, training.recipe, training.device, training.allow_code, method)
