"""Which class, if any, a model has a trigger for: reversed triggers that are far smaller than they should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.trigger_search import Triggers, reversed_triggers
from threatloop.core.assets import Dataset, Model
from threatloop.core.seeds import Streams
from threatloop.core.training import Training

CONSISTENT = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""
ENOUGH_CLASSES = 5
"""Fewer classes say nothing of what is usual among them: models trained on the own records alone then do."""
LEAST_SPREAD = 0.1
"""Of logarithms of sizes between honest models; smaller ones are an accident of few models."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How hard triggers are searched for; see `threatloop.algorithms.trigger_search.reversed_triggers`.

    Attributes:
        steps, batch, success: of the search.
        references: honest models where classes are few.
    """

    steps: int
    batch: int
    success: float
    references: int


def evidence(
    model: Model, own: Dataset, training: Training, streams: Streams, effort: Effort
) -> tuple[Triggers, Floats]:
    """Reversed triggers, and how anomalously small each is, float64 (classes,); above 2 is suspicious.

    Raises:
        NotAssessable: as `reversed_triggers`.
    """
    triggers = _search(model, own, training, streams, effort)
    if own.n_classes >= ENOUGH_CLASSES:
        return triggers, among_classes(triggers.sizes)
    honest = []
    for i in range(effort.references):
        one = streams.child(f"reference-{i}")
        honest.append(_search(training.fit(own, one), own, training, one, effort).sizes)
    return triggers, against_honest(triggers.sizes, np.stack(honest))


def among_classes(sizes: Floats) -> Floats:
    """How many deviations each size lies below the median of all: the paper's anomaly index, negative above it."""
    centre = np.median(sizes)
    deviation = CONSISTENT * np.median(np.abs(sizes - centre))
    return np.asarray((centre - sizes) / max(deviation, LEAST_SPREAD * centre))


def against_honest(sizes: Floats, honest: Floats) -> Floats:
    """How many deviations the logarithm of each size (classes,) lies below honest models' (R, classes), R ≥ 2.

    The deviation is pooled over classes, and allows for the error of the honest models' mean.
    """
    logs, models = np.log(honest), len(honest)
    centre = logs.mean(axis=0)
    spread = np.sqrt(((logs - centre) ** 2).sum() / (sizes.size * (models - 1)) * (1 + 1 / models))
    return np.asarray((centre - np.log(sizes)) / max(float(spread), LEAST_SPREAD))


def _search(model: Model, own: Dataset, training: Training, streams: Streams, effort: Effort) -> Triggers:
    network, rng = training.module(model), streams.numpy("triggers")
    return reversed_triggers(network, own, rng, steps=effort.steps, batch=effort.batch, success=effort.success)
