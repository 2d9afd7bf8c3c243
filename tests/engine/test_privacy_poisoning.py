"""Privacy poisoning before a membership probe: who counts as a target, who is left out, and what shadows train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny
from threatloop.core.assets import Dataset
from threatloop.engine.execute import Workspace
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Ref

POISON = {"name": "truth_serum", "targets": 8, "replicas": 2}
PROBES = ("lira", "loss_threshold")
SCENARIOS = {probe: {"chain": [POISON, probe], "sweep": [0, 4]} for probe in PROBES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("privacy")
    assert tiny.run(tiny.spec(scenarios=SCENARIOS), place).record.errors == ()
    return place


@pytest.mark.parametrize("probe", PROBES)
def test_targets_are_read_by_themselves_in_every_arm_and_kept_out_of_the_main_figure(folder: Path, probe: str) -> None:
    rows = [row for row in tiny.table(folder / "out") if row["scenario"] == probe and row["attack"] == probe]
    arms = {"attack", "without:1", "control:1", "sweep:4", "sweep-control:4", "sweep:0"}
    aimed = {row["arm"]: row for row in rows if row["metric"] == "membership.targets"}
    assert arms <= set(aimed)
    assert {row["n"] for row in aimed.values()} == {8}
    main = {row["arm"]: row for row in rows if row["metric"] == "membership"}
    assert len({row["n"] for row in main.values()}) == 1
    honest = {aimed[arm]["value"] for arm in ("without:1", "sweep:0")}
    assert len(honest) == 1


def test_half_of_the_targets_are_the_victims_own_and_the_others_nobodys(folder: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios=SCENARIOS), folder / "store")
    workspace = Workspace(Store(str(folder / "store")))
    (task,) = [task for task in plan.tasks.values() if task.operation == "targets"]
    found: Dataset = workspace.product(Ref(task.key)).value
    sides = [workspace.product(task.inputs[name]).value.ids for name in ("members", "nonmembers")]
    assert [int(np.isin(found.ids, ids).sum()) for ids in sides] == [4, 4]


def test_shadows_train_on_the_poison_of_their_arm(folder: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios=SCENARIOS), folder / "store")
    trained = [task for task in plan.tasks.values() if task.operation == "shadows"]
    poisons = {task.inputs["poison"].key for task in trained if "poison" in task.inputs}
    crafted = {
        task.key: task.config["attack"]["name"]
        for task in plan.tasks.values()
        if task.operation == "act" and task.config["attack"]["name"] in ("truth_serum", "mislabelled_noise")
    }
    assert poisons <= set(crafted)
    assert {crafted[key] for key in poisons} == {"truth_serum", "mislabelled_noise"}
    assert any("poison" not in task.inputs for task in trained)
