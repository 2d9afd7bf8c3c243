"""What attackers are given who know the serving defences: filtered gradients, answers without what can be undone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.defences.serving.answer_noise import AnswerNoise
from threatloop.defences.serving.input_purification import InputPurification
from threatloop.engine.operations.serve import Front
from threatloop.engine.plan import Plan
from threatloop.engine.task import Task
from threatloop.models.responder import responder_of

SCENARIOS = {"lira": {"attack": "lira"}, "pgd": {"attack": {"name": "pgd", "records": 8, "steps": 2}}}
SETS = {"flat": ["temperature", "answer_noise"], "clean": ["input_purification"]}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny.plan(tiny.spec(scenarios=SCENARIOS, defences=SETS), tmp_path_factory.mktemp("served"))


def acts(plan: Plan, attack: str, defence: str) -> list[Task]:
    """Attacks on the victim behind this defence."""
    found = [task for task in plan.tasks.values() if task.operation == "act"]
    found = [task for task in found if task.config["attack"]["name"] == attack]
    return [task for task in found if defence in [one["name"] for one in task.config.get("serving", [])]]


def test_who_knows_the_temperature_undoes_it(plan: Plan) -> None:
    unchanged, informed = sorted(acts(plan, "lira", "answer_noise"), key=lambda task: len(task.config["serving"]))[::-1]
    assert [one["name"] for one in unchanged.config["serving"]] == ["temperature", "answer_noise"]
    assert "imitated" not in unchanged.config
    for key in ("serving", "imitated"):
        assert [one["name"] for one in informed.config[key]] == ["answer_noise"]
    assert informed.config["attack"]["parameters"]["expectation"] > 1


def test_only_who_knows_the_filter_gets_gradients_behind_it(plan: Plan) -> None:
    tasks = acts(plan, "pgd", "input_purification")
    assert sorted("informed" in task.config for task in tasks) == [False, True]
    assert not any("informed" in task.config for task in acts(plan, "lira", "input_purification"))


def test_who_never_asks_is_run_once_for_all_sets_of_defences(tmp_path: Path) -> None:
    theft, sets = {"theft": {"attack": {"name": "knockoff", "queries": 16}}}, {**SETS, "smooth": ["label_smoothing"]}
    planned = tiny.plan(tiny.spec(scenarios=theft, defences=sets), tmp_path)
    names = [task.config["attack"]["name"] for task in planned.tasks.values() if task.operation == "act"]
    seeds = len({figure.seed for _, figure in planned.figures})
    assert names.count("surrogate") == seeds
    assert names.count("knockoff") > seeds
    watched = tiny.plan(tiny.spec(scenarios=theft, defences={"watched": ["prada"]}), tmp_path)
    baselines = [task for task in watched.tasks.values() if task.config.get("attack", {}).get("name") == "surrogate"]
    assert any("serving" in task.config for task in baselines if task.operation == "act")


def digits(n: int = 64) -> Dataset:
    rng = np.random.default_rng(0)
    schema = ImageSchema(classes=("a", "b"), channels=1, height=4, width=4)
    return Dataset(rng.random((n, 1, 4, 4), dtype=np.float32), rng.integers(2, size=n), schema, np.arange(n))


def test_informed_gradients_are_those_of_the_filtered_input() -> None:
    own = digits()
    training = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [8]}), Recipe(epochs=2))
    responder = responder_of(training.fit(own, Streams(0)))
    defences = (AnswerNoise(), InputPurification(noise=0, levels=2))
    x = torch.from_numpy(own.x[:5])
    blind, informed = (
        Front(defences, own, streams=Streams(1), informed=knows).watched(responder).differentiable()
        for knows in (False, True)
    )
    with torch.no_grad():
        torch.testing.assert_close(blind(x), responder.differentiable()(x))
        torch.testing.assert_close(informed(x), responder.differentiable()(x.round()))


def test_what_leaves_labels_alone_costs_label_attacks_nothing(plan: Plan) -> None:
    tasks = [task for task in plan.tasks.values() if task.operation == "act"]
    walks = [task for task in tasks if task.config["attack"]["name"] == "label_only_membership"]
    assert sorted(len(task.config.get("serving", [])) for task in walks) == [0, 1]
