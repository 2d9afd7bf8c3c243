"""What each arm of a scenario holds and is graded with: truths, gates, budgets, marks on artefacts, its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import tiny
from threatloop import api
from threatloop.core.assets import Dataset, Model
from threatloop.core.bench import Resource
from threatloop.defences.data.spread_spectrum import SpreadSpectrum
from threatloop.engine.estimate import Estimator, Probe
from threatloop.engine.execute import Workspace
from threatloop.engine.figures import Figure
from threatloop.engine.operations.act import attack_of, resources_of
from threatloop.engine.operations.protect import protect
from threatloop.engine.operations.train import train
from threatloop.engine.plan import Plan, make_plan
from threatloop.engine.seed_tasks import SeedTasks
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Ref, Task
from threatloop.runs.folder import gallery_file
from tiny import Reference

WHITE_BOX = ["labels", "scores", "gradients"]
INVERSION = tiny.small("gradient_inversion")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arms")


def figures(plan: Plan, attack: str) -> list[Figure]:
    found = [figure for _, figure in plan.figures if figure.attack == attack]
    assert found
    return found


def acts(plan: Plan, attack: str) -> list[Task]:
    tasks = [task for task in plan.tasks.values() if task.operation == "act"]
    found = [task for task in tasks if task.config["attack"]["name"] == attack]
    assert found
    return found


def part(ref: Ref) -> str:
    """The role of a split that a grade is given."""
    assert ref.part
    return ref.part


def test_behind_a_poisoning_only_the_victims_own_records_are_members(store: Path) -> None:
    chain = ["badnets", tiny.THEFT, INVERSION]
    plan = tiny.plan(tiny.spec(scenarios={"loop": {"chain": chain}}), store)
    arms = set()
    for figure in figures(plan, "gradient_inversion"):
        truths = plan.tasks[figure.grade.key].inputs
        assert (part(truths["members"]), part(truths["nonmembers"])) == ("own", "nonmembers")
        assert part(truths["touched"]) == "contribution"
        arms.add(figure.arm)
    assert arms == {"attack", "without:1", "without:2", "without:3", "matched:1", "reference:victim"}
    clean = tiny.plan(tiny.spec(scenarios={"short": {"chain": [tiny.THEFT, INVERSION]}}), store)
    for figure in figures(clean, "gradient_inversion"):
        truths = clean.tasks[figure.grade.key].inputs
        assert part(truths["members"]) == "members"
        assert "touched" not in truths


def test_membership_behind_a_poisoning_leaves_the_contribution_out(tmp_path: Path) -> None:
    written = tiny.spec(scenarios={"poisoned": {"chain": ["label_flip", "lira"]}, "alone": {"attack": "lira"}})
    finished = tiny.run(written, tmp_path)
    assert finished.record.errors == ()
    records = pq.read_table(finished.out / "records.parquet").to_pylist()
    graded = {
        name: {row["record"]: row["value"] for row in records if row["scenario"] == name and row["name"] == "member"}
        for name in ("poisoned", "alone")
    }
    roles = split_of(tmp_path, written)
    candidates, own = set(roles["candidates"]), set(roles["own"])
    assert set(graded["alone"]) == candidates
    assert candidates & set(roles["contribution"])
    assert set(graded["poisoned"]) == candidates - set(roles["contribution"])
    assert {record for record, member in graded["poisoned"].items() if member} == candidates & own


def split_of(folder: Path, written: dict[str, Any]) -> dict[str, list[int]]:
    """Record numbers of every role."""
    plan, workspace = tiny.plan(written, folder / "store"), Workspace(Store(str(folder / "store")))
    (key,) = (key for key, task in plan.tasks.items() if task.operation == "split")
    found = {}
    for role in ("own", "contribution", "candidates"):
        data = workspace.product(Ref(key, role)).value
        assert isinstance(data, Dataset)
        found[role] = [int(number) for number in data.ids]
    return found


def test_candidates_carry_no_number_that_tells_members_from_others(reference: Reference) -> None:
    plan = tiny.plan(tiny.spec(), reference.folder / "store")
    workspace = Workspace(Store(str(reference.folder / "store")))
    (task,) = acts(plan, "lira")
    inputs = {name: workspace.product(ref) for name, ref in task.inputs.items()}
    held = resources_of(attack_of(task.config["attack"]), task, inputs)[Resource.CANDIDATES]
    assert held.ids.tolist() == list(range(len(held)))
    assert sorted(inputs["candidates"].value.ids) != held.ids.tolist()  # the judge keeps the true ones
    assert (held.x == inputs["candidates"].value.x).all()


def test_the_gate_of_a_second_lap_tells_of_the_last_offer(reference: Reference) -> None:
    """Each offer is decided on its own; a refused one does not stand for the next."""
    plan = tiny.plan(tiny.spec({"digits": {**tiny.DIGITS, "defences": ["watermark_gate"]}}), reference.folder / "store")
    workspace = Workspace(Store(str(reference.folder / "store")))
    gated = next(task for task in plan.tasks.values() if task.operation == "train" and "registered" in task.inputs)
    own, clean = (workspace.product(gated.inputs[name]) for name in ("own", "registered"))
    of_seed = SeedTasks(plan.audit, plan.facts["digits"], 0, {}, SpreadSpectrum())
    marked = protect(of_seed.tasks[of_seed.protected().key], {"data": clean})
    gates = {}
    for name, offers in {"clean last": (marked, clean), "marked last": (clean, marked)}.items():
        inputs = {"own": own, "registered": clean, "contribution-1": offers[0], "contribution-2": offers[1]}
        facts = train(gated, inputs).facts
        gates[name] = (facts["gate"], [accepted for accepted, _, _ in facts["decisions"]])
    assert gates == {"clean last": ("accepted", [False, True]), "marked last": ("refused", [True, False])}


def test_a_gate_decides_only_where_something_is_offered(tmp_path: Path) -> None:
    gated = {**tiny.DIGITS, "defences": ["watermark_gate"]}
    scenarios = {"poison": {"attack": "badnets"}, "membership": {"attack": "lira"}, "theft": {"attack": tiny.THEFT}}
    written = tiny.spec({"digits": gated}, scenarios)
    finished = tiny.run(written, tmp_path)
    assert finished.record.errors == ()
    gates: dict[str, set[str]] = {}
    for row in tiny.table(finished.out):
        gates.setdefault(row["scenario"], set()).add(row["gate"])
    assert gates["membership"] == gates["theft"] == {""}
    assert gates["poison"] <= {"accepted", "refused"}
    # The victim of whom the accuracy is told is the one that nobody attacked.
    plan = tiny.plan(written, tmp_path / "store")
    ((quality, _),) = plan.victims.values()
    honest = plan.tasks[plan.tasks[quality.key].inputs["victim"].key]
    assert honest.config["defences"] == []
    assert "registered" not in honest.inputs


def test_when_nothing_fits_the_budget_nothing_is_wanted(store: Path) -> None:
    written = tiny.spec(
        scenarios={"flip": {"attack": "label_flip"}, "lira": {"attack": "lira"}}, max_cost={"minutes": 1}
    )
    dear = Estimator(1, {"digits": Probe(train=1.0, train_many=1.0, score=1.0, memory=1.0)})
    plan = make_plan(api.load_spec(written), Workspace(Store(str(store))), dear)
    assert [notice.scenario for notice in plan.not_assessed] == ["flip", "lira"]
    assert plan.wanted() == set()
    assert plan.figures == []
    assert not {task.operation for task in plan.tasks.values()} & {"train", "act", "grade", "shadows", "quality"}


def test_a_cap_on_queries_ends_at_the_attackers_own_clone(tmp_path: Path) -> None:
    capped = {**tiny.DIGITS, "query_cap": 30, "access": WHITE_BOX}
    written = tiny.spec({"digits": capped}, {"loop": {"chain": [tiny.THEFT, INVERSION]}, "in": {"attack": INVERSION}})
    finished = tiny.run(written, tmp_path)
    plan = tiny.plan(written, tmp_path / "store")
    assert {task.config["limit"] for task in acts(plan, "knockoff")} == {30}  # of the 40 that it asks for
    limits: dict[str, set[int | None]] = {"loop": set(), "in": set()}
    for figure in figures(plan, "gradient_inversion"):
        limits[figure.scenario].add(plan.tasks[figure.outcome.key].config["limit"])
    assert limits == {"loop": {None}, "in": {30, None}}  # None: on his own model, the reference
    inverted = [
        row for row in tiny.table(finished.out) if (row["attack"], row["arm"]) == ("gradient_inversion", "attack")
    ]
    on_clone = [row for row in inverted if row["scenario"] == "loop"]
    assert on_clone
    assert all(row["stop_reason"] == "finished" and row["queries"] > 30 for row in on_clone)
    assert all(row["stop_reason"] == "query budget spent" for row in inverted if row["scenario"] == "in")


def test_one_lap_with_the_budget_of_two_doubles_queries_steps_and_cap(store: Path) -> None:
    capped = {**tiny.DIGITS, "query_cap": 30}
    chain = ["badnets", {**tiny.THEFT, "steps": 5}, INVERSION]
    plan = tiny.plan(tiny.spec({"digits": capped}, {"loop": {"chain": chain, "laps": 2}}), store)
    budgets = {}
    for figure in figures(plan, "knockoff"):
        task = plan.tasks[figure.outcome.key]
        parameters = task.config["attack"]["parameters"]
        budgets[figure.arm] = (parameters["queries"], parameters["steps"], task.config["limit"])
    assert budgets["double"] == (80, 10, 60)
    assert {budgets[arm] for arm in ("attack", "feedback", "restart", "prior")} == {(40, 5, 30)}


def test_poisoned_victims_are_marked_and_honest_ones_are_not(reference: Reference) -> None:
    plan = tiny.plan(tiny.spec(), reference.folder / "store")
    workspace = Workspace(Store(str(reference.folder / "store")))
    marks = {}
    for figure in figures(plan, "badnets"):
        victim = workspace.product(figure.outcome).value
        assert isinstance(victim, Model)
        marks[figure.arm] = victim.notes.get("attack_artefact")
    assert marks == {"attack": "badnets", "without:1": None}
    ((quality, _),) = plan.victims.values()
    honest = workspace.product(plan.tasks[quality.key].inputs["victim"]).value
    assert isinstance(honest, Model)
    assert "attack_artefact" not in honest.notes


def test_pictures_of_similar_names_do_not_take_each_others_place(tmp_path: Path) -> None:
    target = {**tiny.DIGITS, "access": WHITE_BOX}
    scenarios = {
        "c": {"attack": INVERSION, "targets": ["a-b"]},
        "b-c": {"attack": INVERSION, "targets": ["a"]},
    }
    finished = tiny.run(tiny.spec({"a-b": target, "a": {**target, "model": {"name": "mlp"}}}, scenarios), tmp_path)
    assert finished.record.errors == ()
    items = finished.record.gallery
    assert {(item.target, item.scenario) for item in items} == {("a-b", "c"), ("a", "b-c")}
    assert len({item.file for item in items}) == len(items)
    assert {"a-b/c/attack-1-recovered.png", "a/b-c/attack-1-recovered.png"} <= {item.file for item in items}
    recovered = [item.file for item in items if (item.name, item.arm) == ("recovered", "attack")]
    pictures = [gallery_file(finished.out, file).read_bytes() for file in recovered]
    assert len(pictures) == 2
    assert pictures[0] != pictures[1]


def test_an_inversion_is_run_on_a_model_that_has_seen_no_member_too(store: Path) -> None:
    written = tiny.spec({"digits": {**tiny.DIGITS, "access": WHITE_BOX}}, {"alone": {"attack": INVERSION}})
    plan = tiny.plan(written, store)
    by_arm = {figure.arm: figure for figure in figures(plan, "gradient_inversion")}
    assert by_arm.keys() == {"attack", "baseline", "reference:surrogate"}
    reference = by_arm["reference:surrogate"]
    surrogate = plan.tasks[reference.source.key]
    assert surrogate.operation == "fit"
    assert part(surrogate.inputs["data"]) == "pool"
    on_victim, on_surrogate = (plan.tasks[by_arm[arm].outcome.key] for arm in ("attack", "reference:surrogate"))
    assert on_victim.streams == on_surrogate.streams
    assert on_victim.config["attack"] == on_surrogate.config["attack"]


def test_a_guess_that_asks_no_model_and_a_probe_have_no_such_reference(store: Path) -> None:
    written = tiny.spec(scenarios={"guess": {"attack": tiny.small("prior_guess")}, "probe": {"attack": "lira"}})
    arms = {figure.arm for _, figure in tiny.plan(written, store).figures}
    assert arms == {"attack", "baseline"}


def test_behind_an_owned_clone_the_victim_itself_stays_behind_its_access(store: Path) -> None:
    plan = tiny.plan(tiny.spec({"digits": {**tiny.DIGITS, "query_cap": 30}}), store)
    facts = plan.facts["digits"]
    seed = SeedTasks(plan.audit, facts, 0, {}, SpreadSpectrum())
    square = attack_of(tiny_step("square"))
    task = seed.tasks[seed.act(square, seed.role("test"), owned=True).key]
    assert set(task.config["grants"]) == set(facts.target.spec.grants)
    assert task.config["limit"] == 30


def tiny_step(name: str) -> dict[str, Any]:
    written = tiny.small(name)
    return {"name": written.pop("name"), "parameters": written}


@pytest.mark.parametrize(("probe", "holds"), [("rmia", True), ("lira", False)])
def test_candidates_that_the_attacker_holds_himself_are_not_graded(probe: str, holds: bool, tmp_path: Path) -> None:
    finished = tiny.run(tiny.spec(scenarios={"one": {"attack": tiny.small(probe)}}), tmp_path)
    assert finished.record.errors == ()
    plan = tiny.plan(tiny.spec(scenarios={"one": {"attack": tiny.small(probe)}}), tmp_path / "store")
    assert {"pool" in plan.tasks[figure.grade.key].inputs for _, figure in plan.figures} == {holds}
    rows = [row for row in pq.read_table(finished.out / "records.parquet").to_pylist() if row["name"] == "member"]
    members = sum(row["value"] for row in rows)
    assert 0 < len(rows) - members <= (0.7 if holds else 1.1) * members


def test_forms_against_defences_are_tried_without_them_too(store: Path) -> None:
    sets = {"filter": ["spectral_signatures"], "noise": ["answer_noise"], "smooth": ["label_smoothing"]}
    scenarios = {"poison": {"attack": {"name": "badnets", "rate": 0.2}}, "lira": {"attack": "lira"}}
    plan = tiny.plan(tiny.spec(scenarios=scenarios, defences=sets), store)
    forms = [one for one in figures(plan, "badnets") if one.arm.startswith("form:")]
    assert {one.arm for one in forms} == {"form:filter:1", "form:filter:2", "form:smooth:1"}
    assert {one.condition for one in forms} == {""}
    # Averaging has nothing to average away without defences, and the fallback on labels is another attack.
    assert not any(one.arm.startswith("form:") for one in figures(plan, "lira"))
    without = tiny.plan(tiny.spec(scenarios=scenarios), store)
    assert not any(one.arm.startswith("form:") for _, one in without.figures)
