"""Training of language models, for victims, shadows and students alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.ensemble import check_masks
from threatloop.algorithms.method_training import MethodTraining
from threatloop.algorithms.training import Soft
from threatloop.algorithms.tuning import tune
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams


@dataclass(frozen=True)
class LanguageTraining(MethodTraining):
    """Training of ``gpt`` and ``causal_lm`` by a recipe, and by what defences added to it."""

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
        """See `threatloop.core.training.Training.fit`.

        Raises:
            InputError: soft targets, which text has none of.
        """
        if soft_targets is not None:
            raise InputError("soft targets are one distribution a record; a text has one for each token")
        chosen = architecture or (init.architecture if init is not None else self.architecture)
        return tune(chosen, data, recipe or self.recipe, streams, init=init, method=self.method, device=self.device)

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n), one after the other."""
        check_masks(masks, streams, len(pool))
        return [self.fit(pool.take(mask), own) for mask, own in zip(masks, streams, strict=True)]
