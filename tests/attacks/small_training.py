"""A plain, self-contained Training for tests: textbook autograd, MLPs only, so that attacks are tested without the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.core.access import ALL_CAPABILITIES, Capability, Ledger
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.modality import of

MLP = Architecture(name="mlp", parameters={"hidden": [64]})


class Standardised(nn.Module):
    """An MLP over flattened, standardised records."""

    def __init__(self, width: int, hidden: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.body = nn.ModuleList([nn.Linear(width, hidden), nn.Linear(hidden, classes)])
        for parameter in self.body.parameters():
            bound = 1 / math.sqrt(parameter.shape[-1])
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, last = self.body
        flat = (x.flatten(1) - self.get_buffer("mean")) / self.get_buffer("std")
        return torch.as_tensor(last(torch.relu(first(flat))))


def network_of(model: Model) -> Standardised:
    w = model.weights
    network = Standardised(
        len(w["mean"]), len(w["body.0.bias"]), len(w["body.1.bias"]), torch.Generator().manual_seed(0)
    )
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in w.items()})
    return network.eval()


@dataclass(frozen=True)
class Local:
    """Answers from a model in this process."""

    network: Standardised
    held: Model

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            logits = self.network(torch.from_numpy(of(self.held.schema).encode(x, self.held.schema)))
        return np.asarray(logits.log_softmax(-1).numpy(), dtype=np.float32)

    def differentiable(self) -> Any:
        return self.network

    def model(self) -> Model:
        return self.held


def serve(model: Model, limit: int | None = None, grants: frozenset[Capability] = ALL_CAPABILITIES) -> Service:
    return Service(Local(network_of(model), model), model.schema, grants, Ledger(limit))


@dataclass(frozen=True)
class SmallTraining:
    """Implements ``core.training.Training``."""

    architecture: Architecture = MLP
    recipe: Recipe = Recipe(epochs=30)

    def fit(
        self,
        data: Dataset,
        streams: Streams,
        *,
        soft_targets: npt.NDArray[np.float32] | None = None,
        architecture: Architecture | None = None,
        recipe: Recipe | None = None,
        init: Model | None = None,
    ) -> Model:
        recipe, architecture = recipe or self.recipe, architecture or self.architecture
        x = torch.from_numpy(of(data.schema).encode(data.x, data.schema).reshape(len(data), -1))
        hard = torch.nn.functional.one_hot(torch.from_numpy(np.array(data.y)), data.n_classes).float()
        y = hard if soft_targets is None else torch.from_numpy(np.array(soft_targets))
        network = _start(x, architecture, data.schema, streams, init)
        _descend(network, x, y, recipe, streams.numpy("order"))
        weights = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
        return Model(architecture, data.schema, weights)

    def serve(self, model: Model) -> Service:
        return serve(model)

    def module(self, model: Model) -> Any:
        return network_of(model)


def _start(
    x: torch.Tensor, architecture: Architecture, schema: Schema, streams: Streams, init: Model | None
) -> Standardised:
    if init is not None:
        return network_of(init).train()
    generator = torch.Generator().manual_seed(streams.integer("init"))
    network = Standardised(x.shape[1], architecture.parameters["hidden"][0], len(schema.classes), generator)
    network.get_buffer("mean").copy_(x.mean(0))
    network.get_buffer("std").copy_(x.std(0).clamp_min(1e-2) if len(x) > 1 else torch.ones(x.shape[1]))
    return network


def _descend(network: Standardised, x: torch.Tensor, y: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> None:
    make = {
        "sgd": lambda p: torch.optim.SGD(
            p, recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
        ),
        "adam": lambda p: torch.optim.AdamW(p, recipe.learning_rate, weight_decay=recipe.weight_decay),
    }
    optimiser = make[recipe.optimiser](network.parameters())
    total = recipe.epochs * math.ceil(len(x) / recipe.batch_size)
    step = 0
    for _ in range(recipe.epochs):
        for rows in torch.from_numpy(rng.permutation(len(x))).split(recipe.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))
            optimiser.zero_grad()
            loss = -(y[rows] * network(x[rows]).log_softmax(-1)).sum(-1).mean()
            loss.backward()
            optimiser.step()
            step += 1
