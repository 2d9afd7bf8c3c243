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

        Soft targets are distributions of the token that comes behind each record, float32 (n, vocabulary); of a record
        whose row is NaN the text itself is learnt.
        """
        chosen, how = architecture or (init.architecture if init is not None else self.architecture), self.method
        steps = recipe or self.recipe
        return tune(chosen, data, steps, streams, init=init, method=how, device=self.device, following=soft_targets)

    def fit_many(self, pool: Dataset, masks: npt.NDArray[np.bool_], streams: Sequence[Streams]) -> list[Model]:
        """One model per row of ``masks`` (K, n), one after the other."""
        check_masks(masks, streams, len(pool))
        return [self.fit(pool.take(mask), own) for mask, own in zip(masks, streams, strict=True)]
