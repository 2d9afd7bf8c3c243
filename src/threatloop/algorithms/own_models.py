"""Small models that a server trains on its own records, once per process and set of records."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from torch import nn

from threatloop import modality
from threatloop.algorithms.fit import fit
from threatloop.algorithms.regeneration import Denoiser, DenoiserRecipe, train_denoiser
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.build import load
from threatloop.models.device import resolve
from threatloop.models.responder import local_service

HIDDEN = (64,)
MOST = 2000
"""Own records that a small model learns from."""


@dataclass(frozen=True)
class Held:
    """A server's own records, equal to others by content: what was learnt from them need not be learnt again."""

    digest: str
    streams: Streams
    data: Dataset = field(compare=False, repr=False)

    @classmethod
    def of(cls, own: Dataset, streams: Streams) -> Held:
        """The records, or a random choice of `MOST` of them."""
        rows = np.sort(streams.numpy("own").permutation(len(own))[:MOST])
        chosen = own.take(rows)
        return cls(chosen.digest, streams, chosen)


@dataclass(frozen=True, eq=False)
class Halves:
    """A model of one half of the records, and what it answers to both.

    Attributes:
        inside, outside: log-probabilities (n, classes) of the half that it learnt, and of the other.
    """

    inside: npt.NDArray[np.float32]
    outside: npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def halves(held: Held) -> Halves:
    """A fully connected network trained on a random half of the records, at least two."""
    data = held.data
    order = held.streams.numpy("halves").permutation(len(data))
    inside, outside = (data.take(rows) for rows in np.array_split(order, 2))
    model = fit(Architecture(name="mlp", parameters={"hidden": HIDDEN}), inside, _recipe(inside, 40), held.streams)
    service = local_service(model)
    return Halves(service.log_probs(inside.x), service.log_probs(outside.x))


@lru_cache(maxsize=8)
def student(held: Held, epochs: int, shift: float = 0.0) -> nn.Module:
    """A fully connected network trained on all the records for few epochs, as a thief's is at some time.

    ``shift`` is added to all of its weights.
    """
    architecture = Architecture(name="mlp", parameters={"hidden": HIDDEN})
    model = fit(architecture, held.data, _recipe(held.data, epochs), held.streams.child("student"))
    network = copy.deepcopy(load(model, resolve("cpu"), allow_code=False))
    for weights in network.parameters():
        weights.data += shift
    return network


def _recipe(data: Dataset, epochs: int) -> Recipe:
    """At least five steps per epoch's worth of training, however few the records."""
    steps = math.ceil(len(data) / 64)
    return Recipe(epochs=max(epochs, math.ceil(5 * epochs / steps)))


@lru_cache(maxsize=8)
def denoiser(held: Held, steps: int) -> Denoiser:
    """A denoiser of images, blind to how much noise there is.

    Raises:
        NotAssessable: the records are no images.
    """
    clean = modality.of(held.data.schema).watermark_view(held.data.x, held.data.schema)
    recipe = DenoiserRecipe(steps=steps, width=128, decoy_keys=0)
    return train_denoiser(clean, held.streams.numpy("denoiser"), recipe)
