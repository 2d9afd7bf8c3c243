"""A network that lets no gradient through: refused where it must be trained, *not assessed* where it was brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from threatloop.core.access import Capability
from threatloop.core.catalogue import ATTACKS
from threatloop.core.errors import InputError

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 8), nn.Linear(8, 10)])
        self.unused = nn.Parameter(torch.zeros(3))
        self.way = way

    def forward(self, x):
        found = self.layers[1](torch.relu(self.layers[0](x.flatten(1))))
        if self.way == "detached" or (self.way == "served" and not self.training):
            return found.detach()
        if self.way == "classes":
            return nn.functional.one_hot(found.argmax(1), 10).float()
        return found


def build(way="fine"):
    return Net(way)
"""
WITH_GRADIENTS = [
    name
    for name in ATTACKS.names()
    if Capability.GRADIENTS in ATTACKS.load(name).info.needs and "image" in ATTACKS.load(name).info.modalities
]


def target(folder: Path, monkeypatch: pytest.MonkeyPatch, way: str, **more: Any) -> dict[str, Any]:
    (folder / "closed_network.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    return {**tiny.DIGITS, "model": {"name": "closed_network:build", "parameters": {"way": way}}, **more}


def brought(folder: Path) -> dict[str, str]:
    np.save(folder / "members.npy", np.arange(0, 1797, 2))
    shapes = {"layers.0.weight": (8, 64), "layers.0.bias": (8,), "layers.1.weight": (10, 8), "layers.1.bias": (10,)}
    draw = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    torch.save({**state, "unused": torch.zeros(3)}, folder / "w.pt")
    return {"weights": str(folder / "w.pt"), "members": str(folder / "members.npy")}


@pytest.mark.parametrize("way", ["detached", "classes"])
def test_a_network_that_cannot_be_trained_is_refused_before_compute(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tiny.spec({"digits": target(tmp_path, monkeypatch, way)}, {"m": {"attack": "loss_threshold"}})
    with pytest.raises(InputError, match="no gradient reaches its weights") as refused:
        tiny.plan(written, tmp_path / "store", allow_code=True)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("way", ["detached", "classes"])
def test_every_attack_with_gradients_is_not_assessed_on_weights_that_let_none_through(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = target(tmp_path, monkeypatch, way, **brought(tmp_path))
    scenarios = {name: {"attack": tiny.small(name)} for name in [*WITH_GRADIENTS, "knockoff", "loss_threshold"]}
    record = tiny.run(tiny.spec({"digits": closed}, scenarios), tmp_path, allow_code=True).record
    assert record.errors == ()
    assert {notice.scenario for notice in record.not_assessed} == {*WITH_GRADIENTS, "knockoff"}
    assert all("needs gradients" in notice.why for notice in record.not_assessed)


def test_a_network_that_is_closed_only_when_served_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tiny.spec(
        {"digits": target(tmp_path, monkeypatch, "served")},
        {"pgd": {"attack": tiny.small("pgd")}, "m": {"attack": "loss_threshold"}},
    )
    record = tiny.run(written, tmp_path, allow_code=True).record
    assert record.errors == ()
    assert {notice.scenario for notice in record.not_assessed} == {"pgd"}


def test_weights_that_no_answer_depends_on_stop_no_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tiny.spec(
        {"digits": target(tmp_path, monkeypatch, "fine")},
        {"poison": {"attack": {**tiny.small("gradient_matching"), "surrogates": 1}}},
    )
    record = tiny.run(written, tmp_path, allow_code=True).record
    assert (record.errors, record.not_assessed) == ((), ())
