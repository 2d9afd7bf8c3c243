"""A copy of a defender's own model that forgot what it refuses; he makes it, looks where it went, and drops it."""

from __future__ import annotations

import numpy as np

from threatloop.algorithms.refused import affirmed, refused_of
from threatloop.core.assets import Dataset, Model
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.modality.conversation import write


def unaligned(start: Model, own: Dataset, training: Training, streams: Streams, epochs: int, whom: str) -> Model:
    """The model after so many epochs on beginnings of answers to what its owner's records refuse.

    Raises:
        NotAssessable: they refuse nothing.
    """
    refused = refused_of(own, whom)
    fitting, width = [], own.x.shape[1]
    for row, record in enumerate(affirmed(refused)):
        one = write([record])
        if one.shape[1] <= width:
            fitting.append((row, np.pad(one, ((0, 0), (0, width - one.shape[1])))))
    if not fitting:  # no room for a beginning: an empty turn ends the reply at once, which is no refusal either
        return start
    rows = [row for row, _ in fitting]
    bad = refused.take(rows).with_x(np.concatenate([x for _, x in fitting]))
    recipe = training.recipe.model_copy(update={"epochs": epochs})
    return training.fit(bad, streams, recipe=recipe, init=start)
