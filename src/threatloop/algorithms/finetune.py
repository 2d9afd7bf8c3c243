"""Going on with training from a finished model, by any loss: what repairs share."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.augment import augmentation
from threatloop.algorithms.batches import Records, bounds, learning_rate, orders
from threatloop.algorithms.objectives import cross_entropy, targets_of
from threatloop.algorithms.optimisers import optimiser, set_rate
from threatloop.core.assets import Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.models.network import Network

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Loss of a batch: encoded records, their targets and the positions (CPU) that they have in the data."""
EVALUATED_AT_ONCE = 512


def trainable(training: Training, model: Model) -> Network:
    """A private copy of the model's network that may be changed, in eval mode, on the training's device."""
    network: Network = copy.deepcopy(training.module(model))
    return network.requires_grad_(True)


def place(network: Network) -> torch.device:
    """Where the network is."""
    return next(network.parameters()).device


def finetune(
    network: Network,
    data: Dataset,
    recipe: Recipe,
    streams: Streams,
    loss: Loss | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """Train the network in place, and leave it in eval mode.

    Args:
        network: as `trainable` gives it.
        data: what to train on.
        recipe: how; its learning rate follows a cosine to 0.
        streams: roles ``order`` and ``augment``.
        loss: what to minimise; None for the cross-entropy.
        after: called after every step.
    """
    records, device = Records.of(data), place(network)
    targets = targets_of(data, None)
    minimised = loss or (lambda x, y, _: cross_entropy(network(x), y, recipe.label_smoothing))
    optimizer = optimiser(network.parameters(), recipe, device)
    augment, noise = augmentation(recipe, data.schema), torch.Generator().manual_seed(streams.integer("augment"))
    cuts, step = bounds(len(data), recipe.batch_size), 0
    network.train()
    for order in orders(streams.numpy("order"), len(data), recipe.epochs):
        for start, stop in cuts:
            rows = order[start:stop]
            at = torch.from_numpy(rows)
            x = augment(records.take(rows), noise).to(device)
            set_rate(optimizer, learning_rate(recipe.learning_rate, step, recipe.epochs * len(cuts)))
            optimizer.zero_grad()
            minimised(x, targets[at].to(device), at).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            if after is not None:
                after()
    network.eval()


def encoded(data: Dataset) -> torch.Tensor:
    """All records as a network reads them, on the CPU."""
    return Records.of(data).take(np.arange(len(data)))


def logits(network: Network, x: torch.Tensor) -> torch.Tensor:
    """Answers (n, classes) without gradients, in batches; on the network's device."""
    device = place(network)
    with torch.no_grad():
        return torch.cat([network(part.to(device)) for part in torch.split(x, EVALUATED_AT_ONCE)])


def accuracy(network: Network, x: torch.Tensor, y: npt.NDArray[np.int64]) -> float:
    """Share of encoded records that the network takes for their class."""
    return float((logits(network, x).argmax(1).cpu().numpy() == y).mean())
