"""Training that makes a network tell watermarked records and records of their class by the same features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from threatloop.algorithms.batches import Records
from threatloop.algorithms.fit import prepare
from threatloop.core.assets import Dataset, Model
from threatloop.core.seeds import Streams
from threatloop.core.training import Training
from threatloop.models.device import resolve
from threatloop.models.network import dump

BATCH = 64
"""Records of each of the three kinds in a step."""
RATE_SHARE = 0.2
"""Of the recipe's learning rate: the network is trained already."""
MOMENTUM = 0.9


def soft_nearest_neighbour_loss(features: torch.Tensor, labels: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """How far the classes are apart: minus the mean logarithm of the share of each point's neighbours that are of its
    class, neighbours weighted by exp(−distance² / temperature), distances² in units of their mean. Large: entangled.

    Frosst, Papernot, Hinton 2019, "Analyzing and Improving Representations with the Soft Nearest Neighbor Loss", arXiv
    1902.01889, equation 1.
    """
    flat = features.flatten(1)
    apart = torch.cdist(flat, flat).square()
    others = ~torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    weights = torch.exp(-apart / (temperature * apart[others].mean().clamp_min(1e-12))) * others
    same = (labels[:, None] == labels[None]) * others
    return -torch.log(((weights * same).sum(1) + 1e-12) / (weights.sum(1) + 1e-12)).mean()


@dataclass(frozen=True)
class Entanglement:
    """How strongly, and for how long.

    Attributes:
        weight: of the soft nearest neighbour loss of a layer, that is maximised.
        epochs: passes over the records.
    """

    weight: float
    epochs: int

    def finish(self, model: Model, data: Dataset, marks: int, training: Training, streams: Streams) -> Model:
        """The model after more training, in which the last ``marks`` records and those of their class attract.

        The marks are all of one class.
        """
        allowed, place = bool(getattr(training, "allow_code", False)), resolve(getattr(training, "device", "cpu"))
        network = prepare(model.architecture, data, streams, init=model, allow_code=allowed).train().to(place)
        records, y = Records.of(data), torch.from_numpy(np.array(data.y, np.int64))
        rate = RATE_SHARE * training.recipe.learning_rate
        descent = torch.optim.SGD(network.parameters(), rate, momentum=MOMENTUM, nesterov=True)
        marked = np.arange(len(data) - marks, len(data))
        alike = np.flatnonzero(data.y[:-marks] == data.y[-1])
        rng = streams.numpy("entangle")
        with _hidden(network) as layers:
            for _ in range(self.epochs * max(1, len(data) // BATCH)):
                rows = [
                    rng.choice(kind, min(BATCH, len(kind)), False) for kind in (np.arange(len(data)), alike, marked)
                ]
                joined = np.concatenate(rows)
                layers.clear()
                logits = network(records.take(joined).to(place))
                loss = F.cross_entropy(logits, y[torch.from_numpy(joined)].to(place))
                kinds = torch.arange(len(rows[1]) + len(rows[2]), device=place) < len(rows[1])
                for features in layers:
                    close = soft_nearest_neighbour_loss(features[len(rows[0]) :], kinds)
                    loss = loss - self.weight / len(layers) * close
                descent.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                descent.step()
        return dump(network, model.architecture, data.schema, model.notes)


@contextmanager
def _hidden(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """What the layers with weights answer, the last one apart; appended at every call of the network."""
    found: list[torch.Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][:-1]
    hooks = [layer.register_forward_hook(lambda _m, _i, output: found.append(output)) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
