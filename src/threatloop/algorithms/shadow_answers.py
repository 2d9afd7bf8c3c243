"""What shadow models answer: on the candidates, on augmented views of them, and on records that none of them saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.membership import mean_answers
from threatloop.core.assets import Dataset, Model, Shadows
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, InputError
from threatloop.core.training import Training

Floats = npt.NDArray[np.float64]
Value = Callable[[npt.NDArray[np.float32], Dataset], Floats]

MOST_NUMBERS = 1 << 24
"""Answers held at once: those of text models are large."""


def shadows_of(bench: Bench) -> Shadows:
    """The declared shadow ensemble."""
    shadows = bench.resource(Resource.SHADOWS)
    if not isinstance(shadows, Shadows):
        raise AccessError("the resource shadows is no shadow ensemble")
    return shadows


def shadow_values(shadows: Shadows, candidates: Dataset, value: Value) -> Floats:
    """What ``value`` makes of every shadow model's answers on the candidates, (K, n) or (K, n, features).

    Raises:
        InputError: the shadow models answer other candidates.
    """
    if shadows.masks.shape[1] != len(candidates):
        raise InputError(
            f"shadow models answer {shadows.masks.shape[1]} records, but there are {len(candidates)} candidates"
        )
    return np.stack([value(answers, candidates) for answers in shadows.log_probs])


def fresh_values(training: Training, shadows: Shadows, data: Dataset, value: Value, expectation: int = 1) -> Floats:
    """The same for records that were not answered before: (K, n) or (K, n, features); many records at a time.

    With an ``expectation`` above 1 every answer is the mean of so many.
    """
    per_record = int(np.prod(shadows.log_probs.shape[2:])) * len(shadows.models)
    step = max(1, MOST_NUMBERS // max(1, per_record))
    found = []
    for start in range(0, len(data), step):
        part = data.take(slice(start, start + step))
        found.append(np.stack([value(a, part) for a in _answers(training, shadows.models, part, expectation)]))
    return np.concatenate(found, axis=1)


def _answers(
    training: Training, models: Sequence[Model], data: Dataset, expectation: int
) -> npt.NDArray[np.float32] | list[npt.NDArray[np.float32]]:
    if expectation == 1:
        return training.answers(models, data)
    return [mean_answers(training.serve(model).log_probs, data.x, expectation) for model in models]
