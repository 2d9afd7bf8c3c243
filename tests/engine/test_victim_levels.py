"""What a user brings: data and an architecture, trained weights, their own network, their own training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import tiny
from threatloop.core.catalogue import ATTACKS
from threatloop.core.errors import ThreatloopError
from threatloop.engine.products import decode
from threatloop.engine.run import Finished
from threatloop.engine.storage.store import Store

MEMBERS = np.arange(0, 1200, 2)
SCENARIOS = {"loss": {"attack": "loss_threshold"}, "theft": {"chain": ["label_flip", tiny.THEFT]}}
THEIRS = '''
import torch
from torch import nn


def network(hidden=8):
    """The user's own network; its answers are probabilities."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10), nn.Softmax(dim=1))


def trained(data, seed):
    """The user's own training, called as is."""
    torch.manual_seed(seed)
    module = network()
    with torch.no_grad():
        module[3].bias += torch.bincount(torch.tensor(data.y), minlength=10) / len(data)
    return module


def another(data, seed):
    return nn.Linear(3, 3)
'''


def overfitted() -> dict[str, torch.Tensor]:
    """Weights that know the members by heart, as a plain torch user would save them: ``layers.N`` of an MLP."""
    raw = load_digits()
    x = torch.tensor(raw.images[MEMBERS], dtype=torch.float32).reshape(len(MEMBERS), -1) / 16
    y = torch.tensor(raw.target[MEMBERS])
    generator = torch.Generator().manual_seed(0)
    widths = (64, 64, 10)
    weights = {}
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        scale = (2 / inputs) ** 0.5
        weights[f"layers.{i}.weight"] = (torch.randn(outputs, inputs, generator=generator) * scale).requires_grad_()
        weights[f"layers.{i}.bias"] = torch.zeros(outputs, requires_grad=True)
    optimiser = torch.optim.Adam(weights.values(), lr=0.01)
    for _ in range(150):
        hidden = torch.relu(x @ weights["layers.0.weight"].T + weights["layers.0.bias"])
        loss = torch.nn.functional.cross_entropy(hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"], y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return {name: tensor.detach() for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def given_weights() -> dict[str, torch.Tensor]:
    return overfitted()


@pytest.fixture
def their_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "their_code.py").write_text(THEIRS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("their_code", None)


def run(folder: Path, scenarios: dict[str, Any] = SCENARIOS, *, seeds: int = 1, **target: Any) -> Finished:
    return tiny.run(tiny.spec({"digits": {**tiny.DIGITS, **target}}, scenarios, seeds), folder, allow_code=True)


def victims(folder: Path, operation: str) -> list[Any]:
    store = Store(str(folder / "store"))
    kept = [key for key in sorted(store.keys()) if store.manifest(key).task["operation"] == operation]
    return [decode(store.get(key)).value for key in kept]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_trained_weights_are_hit_as_they_are(
    suffix: str, given_weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": given_weights}, path)
    else:
        save_file(given_weights, path)
    np.save(tmp_path / "members.npy", MEMBERS)
    model = {"name": "mlp", "parameters": {"hidden": [64]}}
    brought: dict[str, Any] = {"weights": str(path), "members": str(tmp_path / "members.npy"), "model": model}
    finished = run(tmp_path, seeds=2, **brought)
    assert finished.record.errors == ()
    (found,) = victims(tmp_path, "given")  # read once, whatever the number of seeds
    assert all((found.weights[f"body.{name}"] == tensor.numpy()).all() for name, tensor in given_weights.items())
    rows = tiny.table(finished.out)
    loss = [
        row for row in rows if row["scenario"] == "loss" and row["metric"] == "membership" and row["arm"] == "attack"
    ]
    assert len(loss) == 2
    for row in loss:
        # The very members that the user named: 600 of them, and the model gives them away.
        assert row["value"] > 0.55
        assert row["n"] in (len(MEMBERS), 2 * len(MEMBERS))
        assert row["by_proxy"] is False
    assert finished.record.targets["digits"]["victim"]["train_accuracy"]["mean"] > 0.99
    # A poisoned victim had to be trained here, and so had everything after it.
    assert {row["by_proxy"] for row in rows if row["scenario"] == "theft"} == {True}


def test_attacks_on_the_given_model_alone_are_no_proxy(given_weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(given_weights, tmp_path / "model.safetensors")
    np.savetxt(tmp_path / "members.txt", MEMBERS, fmt="%d")
    model = {"name": "mlp", "parameters": {"hidden": [64]}}
    brought: dict[str, Any] = {
        "weights": str(tmp_path / "model.safetensors"),
        "members": str(tmp_path / "members.txt"),
        "model": model,
    }
    finished = run(tmp_path, {"theft": {"attack": tiny.THEFT}}, **brought)
    assert {row["by_proxy"] for row in tiny.table(finished.out)} == {False}
    assert victims(tmp_path, "train") == []


def test_their_own_network_is_trained_by_the_recipe(their_code: Path) -> None:
    model = {"name": "their_code:network", "parameters": {"hidden": 5}, "outputs": "probabilities"}
    finished = run(their_code, model=model)
    assert finished.record.errors == ()
    models = victims(their_code, "train")
    assert len(models) == 2  # poisoned, and honest
    assert {model.weights["body.1.weight"].shape for model in models} == {(5, 64)}
    assert {row["by_proxy"] for row in tiny.table(finished.out)} == {False}


def test_their_own_training_is_called_as_is(their_code: Path) -> None:
    model = {"name": "their_code:network", "outputs": "probabilities"}
    finished = run(their_code, {"flip": {"attack": "label_flip"}}, model=model, train="their_code:trained")
    assert finished.record.errors == ()
    biases = []
    for found in victims(their_code, "train"):
        assert found.notes["trained_by"] == "their_code:trained"
        biases.append(found.weights["body.3.bias"])
    # One function, one seed, other data: the arms differ by their labels only.
    assert len(biases) == 2
    assert np.ptp(np.stack(biases), axis=0).max() > 0


def test_their_code_is_keyed_by_its_bytes(their_code: Path) -> None:
    from threatloop.engine import sources

    model = {"name": "their_code:network", "outputs": "probabilities"}
    written = tiny.spec({"digits": {**tiny.DIGITS, "model": model}}, {"flip": {"attack": "label_flip"}})
    keys = []
    for addition in ("", "# edited\n"):
        with (their_code / "their_code.py").open("a", encoding="utf-8") as file:
            file.write(addition)
        for cached in (sources.source_digest, sources._source_file, sources._read):
            cached.cache_clear()
        plan = tiny.plan(written, their_code / "store", allow_code=True)
        keys.append({key for key, task in plan.tasks.items() if task.operation in ("train", "grade")})
    assert not keys[0] & keys[1]


def test_a_training_function_that_returns_another_network_is_said_clearly(their_code: Path) -> None:
    finished = run(their_code, {"flip": {"attack": "label_flip"}}, train="their_code:another")
    assert finished.tally.failed
    assert "their_code:another must return a torch module of the architecture mlp" in finished.record.errors[0].why


def test_code_is_refused_by_the_worker_too(their_code: Path) -> None:
    """The permission travels with the task: without it nothing is imported."""
    from threatloop.algorithms.training import user_function
    from threatloop.algorithms.written_training import training_of

    with pytest.raises(ThreatloopError, match="allow it with --allow-code"):
        user_function("their_code:trained", allow_code=False)
    written = {"architecture": {"name": "mlp"}, "recipe": {}, "device": "cpu", "function": "their_code:trained"}
    assert training_of(written, {}).allow_code is False
    assert "their_code" not in sys.modules
    assert "badnets" in ATTACKS.names()
    assert their_code.is_dir()
