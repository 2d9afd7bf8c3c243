"""Matched utility: an honest victim of the poisoned one's clean accuracy, who gets one, and what is said where it
cannot be had."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from threatloop.algorithms.matching import PARTS, Effort
from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.engine.execute import Workspace
from threatloop.engine.operations.match import Shortened, _lifecycle, match
from threatloop.engine.plan import Plan
from threatloop.engine.products import Product
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task
from threatloop.scenario.lifecycle import Lifecycle

LOSS = "loss_threshold"
FLIPS = {"name": "label_flip", "rate": 0.9}
TARGET = {**tiny.DIGITS, "model": {"name": "mlp", "parameters": {"hidden": [32]}}, "recipe": {"epochs": 12}}
CHAIN = {"flips": {"chain": [FLIPS, LOSS]}}
MATCHED = "matched:1"
THEIRS = """
import torch
from torch import nn


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def trained(data, seed):
    torch.manual_seed(0)
    return network()
"""
Ran = tuple[Task, dict[str, Product], Product, list[dict[str, Any]]]


def arms(scenarios: dict[str, Any], store: Path, **more: Any) -> dict[str, set[tuple[str, int]]]:
    plan = tiny.plan(tiny.spec(scenarios=scenarios, **more), store)
    found: dict[str, set[tuple[str, int]]] = {name: set() for name in scenarios}
    for _, figure in plan.figures:
        if figure.arm.startswith("matched"):
            found[figure.scenario].add((figure.condition, figure.step))
    return found


def test_chains_that_begin_with_a_poisoning_are_matched_and_nothing_else(tmp_path: Path) -> None:
    scenarios: dict[str, Any] = {
        "poison": {"attack": "label_flip"},
        "two": {"chain": ["label_flip", LOSS]},
        "three": {"chain": ["label_flip", tiny.THEFT, tiny.small("gradient_inversion")]},
        "theft": {"chain": [tiny.THEFT, tiny.small("gradient_inversion")]},
        "loop": {"chain": ["denoising", "badnets", tiny.THEFT]},
    }
    found = arms(scenarios, tmp_path, defences={"smooth": ["label_smoothing"]})
    assert found == {"poison": set(), "two": {("", 2)}, "three": {("", 2), ("", 3)}, "theft": set(), "loop": set()}


def test_one_victim_serves_every_chain_that_begins_alike(tmp_path: Path) -> None:
    scenarios = {"a": {"chain": ["label_flip", LOSS]}, "b": {"chain": ["label_flip", tiny.THEFT]}}
    plan = tiny.plan(tiny.spec(scenarios=scenarios), tmp_path)
    assert len(tasks(plan, "match")) == 1


def tasks(plan: Plan, name: str) -> list[Task]:
    return [task for task in plan.tasks.values() if task.operation == name]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The task of the search, its inputs and its product, and the rows of the run."""
    folder = tmp_path_factory.mktemp("matched")
    written = tiny.spec({"digits": TARGET}, CHAIN)
    finished = tiny.run(written, folder)
    assert finished.record.errors == ()
    plan, workspace = tiny.plan(written, folder / "store"), Workspace(Store(str(folder / "store")))
    (task,) = tasks(plan, "match")
    inputs = {name: workspace.product(ref) for name, ref in task.inputs.items()}
    return task, inputs, match(task, inputs), tiny.table(finished.out)


def right(model: Model, data: Dataset) -> int:
    """Oracle: the network written out, one record at a time."""
    weights, found = model.weights, 0
    for x, y in zip(data.x, data.y, strict=True):
        flow = (x.reshape(-1) / 255 - weights["mean"].reshape(-1)) / weights["std"].reshape(-1)
        flow = np.maximum(weights["body.layers.0.weight"] @ flow + weights["body.layers.0.bias"], 0)
        found += int((weights["body.layers.1.weight"] @ flow + weights["body.layers.1.bias"]).argmax() == y)
    return found


def test_a_poison_that_costs_accuracy_is_matched_on_records_that_nobody_trained_on(
    ran: Ran,
) -> None:
    _, inputs, product, rows = ran
    data, facts = inputs["nonmembers"].value, product.facts["matched"]
    models = {"poisoned": inputs["poisoned"].value, "honest": inputs["honest"].value, "matched": product.value}
    counts = {name: right(model, data) for name, model in models.items()}
    assert counts == {name: round(facts[name] * len(data)) for name in counts}
    assert counts["honest"] - counts["poisoned"] > len(data) / 50
    assert abs(counts["matched"] - counts["poisoned"]) * PARTS <= len(data)
    assert (facts["epochs"], facts["rate"]) < (12, 1.0)
    assert not set(data.ids) & {*inputs["own"].value.ids, *inputs["contribution-1"].value.ids}
    values = {row["arm"]: row for row in rows if row["step"] == 2 and row["metric"] == "membership"}
    assert values[MATCHED]["value"] is not None
    # The same records are graded in both arms.
    assert values[MATCHED]["n"] == values["attack"]["n"] == values["without:1"]["n"]


def test_a_poison_that_keeps_accuracy_is_compared_with_the_honest_victim_itself(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, inputs, _, _ = ran
    monkeypatch.setattr(Lifecycle, "run", None)
    product = match(task, {**inputs, "poisoned": inputs["honest"]})
    assert product.value is inputs["honest"].value
    assert (product.facts["matched"]["epochs"], product.facts["matched"]["trainings"]) == (12, 0)
    assert product.facts["gate"] == inputs["honest"].facts["gate"]


def test_full_effort_is_the_honest_training_bit_by_bit(
    ran: Ran,
) -> None:
    task, inputs, _, _ = ran
    lifecycle = _lifecycle(task, inputs)
    whole = replace(lifecycle, defences=(Shortened(epochs=12, rate=1.0),))
    model, _ = whole.run(inputs["own"].value, [inputs["contribution-1"].value], task.streams)
    honest: Model = inputs["honest"].value
    assert all((model.weights[name] == values).all() for name, values in honest.weights.items())


def test_an_accuracy_that_no_shrinking_reaches_is_not_computed(
    ran: Ran,
) -> None:
    task, inputs, _, _ = ran
    honest: Model = inputs["honest"].value
    turned = {name: -v if name.startswith("body.layers.1") else v for name, v in honest.weights.items()}
    with pytest.raises(NotAssessable, match="no shrinking of the honest training"):
        match(task, {**inputs, "poisoned": Product(replace(honest, weights=turned))})


def test_what_cannot_be_matched_has_a_reason_in_its_row_and_no_other_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own training function knows no shorter training."""
    theirs = tmp_path / "their_training.py"
    theirs.write_text(THEIRS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("threatloop.algorithms.matching.Search.found", impossible)
    target = {**tiny.DIGITS, "model": {"name": "their_training:network"}, "train": "their_training:trained"}
    finished = tiny.run(tiny.spec({"digits": target}, CHAIN), tmp_path, allow_code=True)
    sys.modules.pop("their_training", None)
    assert finished.record.errors == ()
    assert finished.record.not_assessed == ()
    (row,) = [row for row in tiny.table(finished.out) if row["arm"] == MATCHED]
    assert (row["metric"], row["value"], row["n"]) == ("membership", None, 0)
    assert row["undefined"] == "their_training:trained trains by a recipe of its own, which cannot be shortened"


def impossible(search: Any, full: int) -> None:
    """The search of a poison that costs accuracy, whatever this one costs."""
    assert full == search.wanted
    search.trial(Effort(1))


def test_the_gate_decides_as_it_does_for_the_honest_victim(tmp_path: Path) -> None:
    target = {**TARGET, "defences": ["watermark_gate", "label_smoothing"]}
    finished = tiny.run(tiny.spec({"digits": target}, CHAIN), tmp_path)
    assert finished.record.errors == ()
    rows = {row["arm"]: row for row in tiny.table(finished.out) if row["step"] == 2 and row["metric"] == "membership"}
    assert rows["without:1"]["gate"] == rows[MATCHED]["gate"] == "accepted"
    assert rows[MATCHED]["value"] not in (None, rows["without:1"]["value"])
