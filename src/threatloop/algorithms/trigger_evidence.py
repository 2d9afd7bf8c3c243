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
"""Fewer say nothing of what is usual among classes. Honest models trained on the own records alone are no measure
either: on a table of two classes the comparison with them flagged honest and poisoned models equally often."""
LEAST_SPREAD = 0.15
"""Deviation of sizes, relative to their median; a smaller one is an accident, and would take any class whose trigger is
a little smaller for a backdoor: on digits two of ten honest models, at the median deviation alone."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How hard triggers are searched for; see `threatloop.algorithms.trigger_search.reversed_triggers`.

    Attributes:
        steps, batch, success: of the search.
    """

    steps: int
    batch: int
    success: float


def triggers_of(model: Model, own: Dataset, training: Training, streams: Streams, effort: Effort) -> Triggers:
    """The reversed triggers of a model's classes.

    Raises:
        NotAssessable: as `reversed_triggers`.
    """
    network, rng = training.module(model), streams.numpy("triggers")
    return reversed_triggers(network, own, rng, steps=effort.steps, batch=effort.batch, success=effort.success)


def among_classes(sizes: Floats) -> Floats:
    """How many deviations each size lies below the median of all: the paper's anomaly index, negative above it."""
    centre = np.median(sizes)
    deviation = CONSISTENT * np.median(np.abs(sizes - centre))
    return np.asarray((centre - sizes) / max(deviation, LEAST_SPREAD * centre))
