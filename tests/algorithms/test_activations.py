"""What enters the last layer is read from any network, and the encoded record where there is no such layer."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from threatloop.algorithms.activations import penultimate
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams

STREAMS = Streams(2, ("activations",))


def images(n: int = 12) -> Dataset:
    schema = ImageSchema(classes=("a", "b", "c"), channels=1, height=8, width=8)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 1, 8, 8)).astype(np.uint8)
    return Dataset(x, np.arange(n) % 3, schema, np.arange(n))


def trained(architecture: Architecture) -> tuple[Any, Any]:
    training = RecipeTraining(architecture, Recipe(epochs=1, batch_size=6), allow_code=True)
    return training, training.fit(images(), STREAMS)


@pytest.mark.parametrize(
    ("architecture", "last", "width"),
    [
        (Architecture(name="mlp", parameters={"hidden": (9, 7)}), "layers.2", 7),
        (Architecture(name="mlp", parameters={"hidden": ()}), "layers.0", 64),
        (Architecture(name="cnn", parameters={"channels": (4,), "hidden": 5}), "last", 5),
        (Architecture(name="resnet18", parameters={"width": 4}), "", 32),
    ],
    ids=["mlp", "linear", "cnn", "resnet18"],
)
def test_the_last_layer_makes_the_answers_of_what_enters_it(architecture: Architecture, last: str, width: int) -> None:
    training, model = trained(architecture)
    found = penultimate(training, model, images())
    assert found.rows.shape == (12, width)
    assert not found.fallback
    ends = last or next(name[5:-7] for name in reversed(list(model.weights)) if name.endswith("weight"))
    weight, bias = (model.weights[f"body.{ends}.{part}"] for part in ("weight", "bias"))
    logits = torch.from_numpy(found.rows @ weight.T + bias)
    answers: npt.NDArray[Any] = torch.log_softmax(logits, -1).numpy()
    assert answers == pytest.approx(training.serve(model).log_probs(images().x), abs=1e-4)


class Backwards(nn.Module):
    """Its last layer is defined first."""

    def __init__(self) -> None:
        super().__init__()
        self.end = nn.Linear(6, 3)
        self.start = nn.Linear(64, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.end(self.start(x.flatten(1)).tanh())
        return found


class Convolutional(nn.Module):
    """It has no fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Conv2d(1, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.only(x).mean(dim=(2, 3))
        return found


def test_a_network_of_the_users_own_is_read_in_the_order_in_which_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("own_networks")
    vars(module).update(backwards=Backwards, convolutional=Convolutional)
    monkeypatch.setitem(sys.modules, "own_networks", module)
    training, model = trained(Architecture(name="own_networks:backwards"))
    assert penultimate(training, model, images()).rows.shape == (12, 6)
    training, model = trained(Architecture(name="own_networks:convolutional"))
    found = penultimate(training, model, images())
    assert found.rows == pytest.approx(images().x.reshape(12, -1) / 255)
    assert "no fully connected layer" in found.fallback


def test_reading_leaves_no_hook_behind() -> None:
    training, model = trained(Architecture(name="mlp"))
    penultimate(training, model, images())
    assert not any(layer._forward_pre_hooks for layer in training.module(model).modules())
