"""What repairs of a trained model share: a held-out part, and fine-tuning as strongly as the model can bear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.finetune import accuracy, encoded, trainable
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.models.network import Network, dump

FEWEST = 10
"""Records of a part: fewer say nothing of the accuracy."""
FEWEST_EPOCHS = 10
ALLOWED = 0.07
"""Held-out accuracy that a repair may cost in the end. The model was trained on the judging records too, so that most
of this loss is forgotten memory: on test records it was one or two points."""


@dataclass(frozen=True)
class Held:
    """Own records divided into those that a repair works with and those that judge it.

    Attributes:
        rest: to work with.
        x: the judging records, encoded.
        y: their labels.
    """

    rest: Dataset
    x: torch.Tensor
    y: npt.NDArray[np.int64]

    @classmethod
    def of(cls, own: Dataset, share: float, streams: Streams) -> Held:
        """A random ``share`` judges.

        Raises:
            NotAssessable: too few records.
        """
        count = math.ceil(share * len(own))
        if min(count, len(own) - count) < FEWEST:
            raise NotAssessable(f"{len(own)} own records leave fewer than {FEWEST} to work with or to judge by")
        order = streams.numpy("held").permutation(len(own))
        judges = own.take(order[:count])
        return cls(own.take(order[count:]), encoded(judges), judges.y)

    def accuracy(self, network: Network) -> float:
        """Share of the judging records that the network has right."""
        return accuracy(network, self.x, self.y)


def epochs_of(recipe: Recipe, epochs: int | None) -> int:
    """So many epochs of repair: half of the training's where nothing is said, and at least a few."""
    return max(FEWEST_EPOCHS, recipe.epochs // 2) if epochs is None else epochs


def hastened(recipe: Recipe, factor: float, epochs: int | None) -> Recipe:
    """The recipe with its learning rate times ``factor``."""
    rate = {"learning_rate": recipe.learning_rate * factor, "epochs": epochs_of(recipe, epochs)}
    return recipe.model_copy(update=rate)


def strongest(
    model: Model, training: Training, held: Held, factors: Sequence[float], work: Callable[..., None]
) -> Model:
    """The repair at the highest learning rate that the model bears; the best one where it bears none.

    Fast fine-tuning forgets a backdoor that slow fine-tuning leaves in place, and too fast a one ruins the model; which
    rate does which depends on the network.

    Args:
        model: to be repaired.
        training: the victim's.
        held: judges the accuracy.
        factors: of the learning rate, in the order in which they are tried.
        work: changes the network that it is given, with the factor that it is given.
    """
    enough = held.accuracy(trainable(training, model)) - ALLOWED
    best, most = trainable(training, model), -1.0
    for factor in factors:
        network = trainable(training, model)
        work(network, factor)
        reached = held.accuracy(network)
        if reached > most:
            best, most = network, reached
        if reached >= enough:
            break
    return dump(best, model.architecture, model.schema, model.notes)
