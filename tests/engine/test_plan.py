"""The plan: everything once, shared within a seed, never across seeds; a change reaches only what depends on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from threatloop import api
from threatloop.core.catalogue import ATTACKS
from threatloop.core.errors import InputError, Problems
from threatloop.core.measurement import ATTACK
from threatloop.engine.estimate import Estimator, Probe
from threatloop.engine.execute import Workspace
from threatloop.engine.plan import Plan, make_plan
from threatloop.engine.schedule import dependencies
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Task

LOOP = ["watermark_removal", "badnets", "knockoff", "gradient_inversion"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


def operations(plan: Plan) -> Counter[str]:
    return Counter(task.operation for task in plan.tasks.values())


def downstream(plan: Plan, keys: set[str]) -> set[str]:
    """These tasks and all that need them, however far up."""
    reached = set(keys)
    for key, task in plan.tasks.items():
        if dependencies(task, plan.tasks) & reached:
            reached.add(key)
    return reached


def attacks_of(task: Task) -> set[str]:
    """Attacks that a task runs or grades."""
    written = [task.config.get("attack"), *task.config.get("upstream", ())]
    return {one["name"] for one in written if one}


def test_every_task_comes_after_its_inputs(store: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios={"loop": {"chain": LOOP, "laps": 2}}, seeds=2), store)
    seen: set[str] = set()
    for key, task in plan.tasks.items():
        assert dependencies(task, plan.tasks) <= seen, task.label
        assert task.key == key
        seen.add(key)
    assert plan.wanted() <= seen


def test_arms_and_scenarios_share_what_they_have_in_common(store: Path) -> None:
    scenarios = {
        "theft": {"chain": ["badnets", "knockoff"]},
        "again": {"chain": ["badnets", "knockoff"]},
        "backdoor": {"attack": "badnets"},
    }
    plan = tiny.plan(tiny.spec(scenarios=scenarios), store)
    alone = tiny.plan(tiny.spec(scenarios={"theft": scenarios["theft"]}), store)
    # The single backdoor is the first step of the chain, and its baseline arm is the chain without step 1.
    assert set(plan.tasks) == set(alone.tasks)
    assert len(plan.figures) == 2 * len(alone.figures) + 2
    # Poisoned, and without poison: behind no gate that is the one that nobody attacked.
    assert operations(plan)["train"] == 2
    assert operations(plan)["match"] == 1
    # The poison, whose baseline makes nothing; clones of the three victims, and the surrogate of the poisoned one.
    assert operations(plan)["act"] == 1 + 4


def test_shadows_are_made_once_per_seed_and_shared_by_every_attack_of_it(store: Path) -> None:
    scenarios = {"online": {"attack": "lira"}, "offline": {"attack": {"name": "lira", "online": False}}}
    plan = tiny.plan(tiny.spec(scenarios=scenarios, seeds=3), store)
    assert operations(plan)["shadows"] == 3
    users: dict[str, set[str]] = {}
    for task in plan.tasks.values():
        for ref in task.inputs.values():
            if plan.tasks[ref.key].operation == "shadows":
                users.setdefault(ref.key, set()).add(str(task.streams.path[0]))
    assert len(users) == 3
    assert all(len(seeds) == 1 for seeds in users.values())


def test_nothing_that_is_random_is_shared_across_seeds(store: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios={"loop": {"chain": LOOP, "laps": 2}}, seeds=2), store)
    seeds: dict[str, set[str]] = {}
    for key, task in plan.tasks.items():
        own = {task.streams.path[0]} if task.operation != "load" else set()
        seeds[key] = own.union(*(seeds[other] for other in dependencies(task, plan.tasks)))
    assert all(len(found) <= 1 for found in seeds.values())
    counts = Counter(next(iter(found)) for found in seeds.values() if found)
    assert counts["seed-0"] == counts["seed-1"] > 20
    assert set(counts) == {"seed-0", "seed-1"}


def test_the_arms_of_one_seed_use_the_same_streams(store: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios={"theft": {"chain": ["badnets", "knockoff"]}}), store)
    for operation in ("train", "grade", "shadows"):
        assert len({task.streams for task in plan.tasks.values() if task.operation == operation}) <= 1
    acts: dict[str, set[Any]] = {}
    for task in plan.tasks.values():
        if task.operation == "act":
            acts.setdefault(task.config["attack"]["name"], set()).add(task.streams)
    assert acts["knockoff"] == acts["surrogate"]
    assert len(acts["knockoff"]) == len(acts["badnets"]) == 1
    # Handing in the data as it is takes no task.
    assert "honest_contribution" not in acts


def test_the_run_seed_changes_every_task_but_the_reading_of_files(store: Path) -> None:
    first, other = tiny.plan(tiny.spec(), store), tiny.plan(tiny.spec(seed=1), store)
    assert not {key for key, task in first.tasks.items() if task.operation != "load"} & set(other.tasks)
    assert operations(first) == operations(other)


@pytest.mark.parametrize(
    ("attack", "parameter", "value", "unchanged"),
    [
        ("lira", "online", False, {"load", "split", "train", "quality", "shadows"}),
        ("knockoff", "queries", 41, {"load", "split", "train", "quality"}),
        ("badnets", "rate", 0.3, {"load", "split", "quality"}),
    ],
)
def test_a_parameter_changes_its_attack_and_what_depends_on_it(
    store: Path, attack: str, parameter: str, value: Any, unchanged: set[str]
) -> None:
    def written(**parameters: Any) -> dict[str, Any]:
        chain: list[dict[str, Any]] = [{"name": "badnets", "rate": 0.2}, {"name": "knockoff", "queries": 40}]
        single: dict[str, Any] = {"name": "lira"}
        for step in (*chain, single):
            step.update(parameters if step["name"] == attack else {})
        return tiny.spec(scenarios={"theft": {"chain": chain}, "membership": {"attack": single}})

    before, after = tiny.plan(written(), store), tiny.plan(written(**{parameter: value}), store)
    gone = set(before.tasks) - set(after.tasks)
    # The baseline has the attack's own parameters wherever both have them.
    names = {attack, ATTACKS.load(attack).info.baseline}
    changed = {key for key, task in before.tasks.items() if names & attacks_of(task)}
    assert gone
    assert gone <= downstream(before, changed)
    assert not {before.tasks[key].operation for key in gone} & unchanged
    assert operations(before) == operations(after)
    assert any(task.operation == "grade" for task in before.tasks.values() if task.key in after.tasks)


def test_every_attack_has_its_baseline_in_the_same_seed(store: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios={"loop": {"chain": LOOP}, "lira": {"attack": "lira"}}, seeds=2), store)
    arms = {(figure.scenario, figure.seed, figure.step, figure.arm) for _, figure in plan.figures}
    for seed in (0, 1):
        assert ("lira", seed, 1, "baseline") in arms
        for step in (1, 2, 3, 4):
            assert {("loop", seed, step, ATTACK), ("loop", seed, step, f"without:{step}")} <= arms
        # Enablement needs the value at every later step.
        assert {("loop", seed, later, "without:1") for later in (2, 3, 4)} <= arms
        assert {("loop", seed, later, "oracle") for later in (2, 3, 4)} <= arms


def test_the_second_lap_runs_against_every_control(store: Path) -> None:
    plan = tiny.plan(tiny.spec(scenarios={"loop": {"chain": LOOP, "laps": 2}}), store)
    arms = {figure.arm for _, figure in plan.figures if figure.lap == 2}
    assert arms == {"feedback", "restart", "double", "prior"}


def test_a_modality_that_an_attack_does_not_know_is_not_assessed(store: Path) -> None:
    targets = {"digits": tiny.DIGITS, "table": tiny.TABLE}
    plan = tiny.plan(tiny.spec(targets, {"loop": {"chain": LOOP}, "lira": {"attack": "lira"}}), store)
    assert [(notice.target, notice.scenario) for notice in plan.not_assessed] == [("table", "loop")]
    assert "works on image records; table holds tabular records" in plan.not_assessed[0].why
    assert {target for target, figure in plan.figures if figure.scenario == "lira"} == {"digits", "table"}


def test_asking_for_more_than_the_service_grants_lists_every_place(store: Path) -> None:
    targets = {"digits": {**tiny.DIGITS, "access": ["labels"]}}
    scenarios = {
        "lira": {"attack": "lira"},
        "inversion": {"attack": "gradient_inversion"},
        "flip": {"attack": "label_flip"},
    }
    with pytest.raises(Problems) as caught:
        tiny.plan(tiny.spec(targets, scenarios), store)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3  # flipping labels needs no access
    assert "scenarios.lira: lira needs scores; targets.digits.access grants labels" in lines[1]
    assert "gradient_inversion needs gradients" in lines[2]
    # An own clone needs no grant: inversion after theft by labels is fine.
    hard = {"name": "knockoff", "answers": "hard"}
    assert tiny.plan(tiny.spec(targets, {"chain": {"chain": [hard, "gradient_inversion"]}}), store).figures


def test_too_few_records_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    rows = ["a,b,y"] + [f"{i},{i % 7},{'xy'[i % 2]}" for i in range(30)]
    (tmp_path / "few.csv").write_text("\n".join(rows), encoding="utf-8")
    targets = {"few": {"data": {"csv": str(tmp_path / "few.csv"), "target": "y"}, "model": tiny.MODEL}}
    with pytest.raises(InputError, match="every role needs 10: bring more data"):
        tiny.plan(tiny.spec(targets, {"flip": {"attack": "label_flip"}}), tmp_path / "store")


def test_what_does_not_fit_the_budget_is_not_assessed(store: Path) -> None:
    written = tiny.spec(
        scenarios={"flip": {"attack": "label_flip"}, "lira": {"attack": "lira"}}, max_cost={"minutes": 0.1}
    )
    cheap = Estimator(1, {"digits": Probe(train=1e-9, train_many=1.0, score=1e-9, memory=1.0)})
    plan = make_plan(api.load_spec(written), Workspace(Store(str(store))), cheap)
    assert [notice.scenario for notice in plan.not_assessed] == ["lira"]
    assert plan.not_assessed[0].why.startswith("over budget: about ")
    assert operations(plan)["shadows"] == 0
    assert {figure.scenario for _, figure in plan.figures} == {"flip"}


def test_swept_values_and_counts_are_held_to_the_data_before_anything_is_trained(tmp_path: Path) -> None:
    scenarios = {
        "far": {"attack": "pgd", "sweep": [0.1, 5]},
        "whole": {"attack": "honest_contribution"},
    }
    with pytest.raises(Problems) as refused:
        tiny.plan(tiny.spec(scenarios=scenarios), tmp_path)
    (line,) = refused.value.problems
    assert line.startswith("scenarios.far.sweep on digits: epsilon: 5 is more than the whole linf range 1")
    many = {
        "rate": {"attack": {"name": "badnets", "rate": 1.0}},
        "members": {"chain": [{"name": "truth_serum", "targets": 9000}, "lira"]},
        "tests": {"attack": {"name": "gradient_matching", "targets": 9000}},
    }
    with pytest.raises(Problems) as refused:
        tiny.plan(tiny.spec(scenarios=many, seeds=2), tmp_path)
    rate, members, tests = refused.value.problems
    assert "scenarios.rate on digits: rate 1 of" in rate
    assert "records of other classes; use at most 0.9" in rate
    assert "scenarios.members on digits: targets 9000: there are" in members
    assert "scenarios.tests on digits: targets 9000: there are" in tests
    assert not [path for path in tmp_path.rglob("*.json") if '"operation":"train"' in path.read_text()]


def test_a_value_that_is_swept_twice_is_refused(tmp_path: Path) -> None:
    scenarios = {"theft": {"attack": "knockoff", "sweep": [20, 30, 20]}}
    with pytest.raises(Problems, match=r"scenarios.theft.sweep: 20 appears twice; keep one"):
        tiny.plan(tiny.spec(scenarios=scenarios), tmp_path)


def test_a_protection_that_no_step_meets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="no step here meets protected data; leave it out"):
        tiny.plan(tiny.spec(scenarios={"s": {"attack": "pgd", "protection": "etc"}}), tmp_path)
    tiny.plan(tiny.spec(scenarios={"s": {"attack": "label_flip", "protection": "learned_mark"}}), tmp_path)


def test_marks_on_images_that_are_too_small_are_not_assessed(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 2, 2)).astype(np.uint8)
    np.savez(tmp_path / "two.npz", train_images=images, train_labels=np.arange(200) % 2)
    target = {**tiny.DIGITS, "data": {"npz": str(tmp_path / "two.npz")}, "defences": ["watermark_gate"]}
    scenarios = {"mark": {"attack": "watermark_removal"}, "poison": {"attack": "badnets"}, "m": {"attack": "lira"}}
    record = tiny.run(tiny.spec({"two": target}, scenarios), tmp_path).record
    assert record.errors == ()
    assert {notice.scenario for notice in record.not_assessed} == {"mark", "poison"}
    assert {notice.why for notice in record.not_assessed} == {
        "spread_spectrum needs images of at least 8×8 pixels; these have 2×2"
    }


def test_canaries_are_refused_where_none_can_be_planted(store: Path, tmp_path: Path) -> None:
    """To find none in a model that never saw them would look like safety."""
    scenario = {"one": {"attack": "prior_membership"}}
    planted = {"canaries": {"count": 2}}
    with pytest.raises(Problems, match="canaries are planted in text; this target holds image records"):
        tiny.plan(tiny.spec({"digits": {**tiny.DIGITS, **planted}}, scenario), store)
    weights, members = tmp_path / "victim.safetensors", tmp_path / "members.txt"
    weights.write_bytes(b"")
    members.write_text("1\n2\n")
    text = {
        "data": {"text": "stdlib", "limit": 120},
        "model": {"name": "gpt"},
        "weights": str(weights),
        "members": str(members),
    }
    with pytest.raises(Problems, match="a model that was brought has seen none"):
        tiny.plan(tiny.spec({"text": {**text, **planted}}, scenario), store)


def test_the_reference_model_is_one_for_all_that_hold_it(store: Path) -> None:
    target = {"data": {"text": "stdlib", "limit": 120}, "shadows": 2, "canaries": {"count": 4}}
    scenarios = {name: {"attack": name} for name in ("reference_membership", "reference_exposure")}
    plan = tiny.plan(tiny.spec({"text": target}, scenarios), store)
    holders = [task for task in plan.tasks.values() if "reference" in task.inputs]
    assert {task.operation for task in holders} == {"act", "planted_leak"}
    (reference,) = {task.inputs["reference"].key for task in holders}
    trained = plan.tasks[reference]
    assert trained.operation == "fit"
    assert trained.inputs["data"].part == "pool"
