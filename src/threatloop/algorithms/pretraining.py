"""Contrastive pre-training: all layers but the last learn from two views of each record, without labels."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from threatloop import modality
from threatloop.algorithms.course import Lesson, Logits, Side, Uphill
from threatloop.algorithms.lessons import paired
from threatloop.algorithms.method import Pretraining
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Schema
from threatloop.models.initialise import initialise
from threatloop.models.network import Network
from threatloop.models.networks import MLP

PROJECTION = 64
"""Numbers that views are compared by; the paper finds the width to matter little (section 4.2)."""
RATE = 1e-3
FEWEST_STEPS = 300


@dataclass(frozen=True)
class Contrast(Lesson):
    """Tell the two views of a record from those of other records; the targets are passed over.

    Attributes:
        schema: of the records, which says what a view is.
        temperature: of the similarities.
    """

    schema: Schema
    temperature: float

    def losses(
        self,
        logits: Logits,
        uphill: Uphill,  # noqa: ARG002
        x: torch.Tensor,
        targets: torch.Tensor,  # noqa: ARG002
        side: Side,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        views = [x.clone(), x.clone()]
        for span, rng in zip(side.spans(), side.rngs, strict=True):
            made = modality.of(self.schema).contrast(x[span].cpu().numpy(), self.schema, rng)
            for view, own in zip(views, made, strict=True):
                view[span] = torch.from_numpy(own).to(x.device)
        projected = [logits(view).view(len(side.sizes), side.width, -1) for view in views]
        losses = paired(projected[0], projected[1], self.temperature, side.sizes)
        return losses, projected[0].flatten(0, 1)


def recipe_of(pretraining: Pretraining, recipe: Recipe, n: int) -> Recipe:
    """How the views are learned from: large batches, Adam, as many steps as the labels get, but not too few."""
    size = max(2, min(pretraining.batch_size, n))
    epochs = pretraining.epochs or max(recipe.epochs, math.ceil(FEWEST_STEPS / math.ceil(n / size)))
    return recipe.model_copy(
        update={
            "epochs": epochs,
            "batch_size": size,
            "optimiser": "adam",
            "learning_rate": RATE,
            "label_smoothing": 0.0,
            "augment": "none",
        }
    )


def last_layer(network: Network) -> str:
    """Name of the last fully connected layer.

    Raises:
        NotAssessable: there is none, or nothing stands before it.
    """
    layers: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    inner = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not layers or len(inner) < 2:
        raise NotAssessable(
            "contrastive pre-training teaches the layers before the last fully connected one; this network has none: "
            "give it a hidden layer"
        )
    return layers[-1]


def with_projection(network: Network, generator: torch.Generator) -> Network:
    """A copy whose last layer is a projection head with one hidden layer, freshly drawn."""
    name = last_layer(network)
    last = network.get_submodule(name)
    assert isinstance(last, nn.Linear)
    projecting = copy.deepcopy(network)
    projecting.answers_probabilities = False
    if type(network.body) is MLP:
        body = network.body
        hidden = [layer.out_features for layer in body.layers if isinstance(layer, nn.Linear)][:-1]
        inputs = body.layers[0].in_features
        assert isinstance(inputs, int)
        drawn = initialise(lambda: MLP(inputs, [*hidden, hidden[-1]], PROJECTION), generator)
        projecting.body = drawn
        adopt(projecting, network, name)
        return projecting
    width = last.in_features
    head = initialise(
        lambda: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION)), generator
    )
    parent, _, leaf = name.rpartition(".")
    setattr(projecting.get_submodule(parent), leaf, head)
    return projecting


def adopt(into: Network, source: Network, last: str) -> None:
    """Copy all weights but those of the last layer."""
    found = source.state_dict()
    with torch.no_grad():
        for name, values in into.state_dict().items():
            if not name.startswith(f"{last}.") and name in found and found[name].shape == values.shape:
                values.copy_(found[name])


def no_targets(n: int) -> torch.Tensor:
    """Targets that are passed over."""
    return torch.from_numpy(np.zeros(n, np.int64))
