"""What every row of the catalogue does. A new row is tested here without a line of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from threatloop.core.assets import Dataset, Evidence, Model
from threatloop.core.bench import Bench
from threatloop.core.catalogue import ATTACKS, DEFENCES, METRICS
from threatloop.core.digests import digest_array, digest_arrays
from threatloop.core.errors import AccessError, NotAssessable
from threatloop.core.metric import Graded
from threatloop.core.protection import IngestGate, Registration
from threatloop.core.seeds import Streams
from threatloop.defences.data.spread_spectrum import SpreadSpectrum
from threatloop.engine.execute import Workspace
from threatloop.engine.operations.act import act, attack_of
from threatloop.engine.plan import Plan
from threatloop.engine.products import NotAssessed, Product
from threatloop.engine.storage.store import Store
from threatloop.engine.task import Ref, Task

TEXT: dict[str, Any] = {
    "data": {"text": "stdlib", "limit": 120},
    "recipe": {"epochs": 1},
    "shadows": 2,
    "canaries": {"count": 10, "repetitions": [1, 2]},
    "access": ["labels", "scores", "text", "logprobs", "gradients"],
}
CHAT = {**TEXT, "data": "standin"}
del CHAT["canaries"]
PAIRED = {**CHAT, "data": {"chat": "preferences", "limit": 120, "room": 0}}
TARGETS = {"image": tiny.DIGITS, "tabular": tiny.TABLE, "text": TEXT, "chat": CHAT, "pairs": PAIRED}
ROWS = ATTACKS.names()


def targets_of(name: str) -> list[str]:
    """Targets on which a row is tried: for refusals conversations in which some are refused, for preferences pairs."""
    cls = ATTACKS.load(name)
    if cls.model_fields.keys() & {"sides", "average"}:
        return ["pairs"]
    of_chats = cls.model_fields.keys() & {"refused", "reply", "deployments"}
    return ["chat"] if of_chats else sorted(cls.info.modalities)


PAIRS = [(name, kind) for name in ROWS for kind in targets_of(name)]
UNCHANGED = [pair for pair in PAIRS if ATTACKS.load(pair[0]).info.unchanged]
RUN = [pair for pair in PAIRS if pair not in UNCHANGED]


@dataclass(frozen=True)
class World:
    """A finished run of every row on the smallest target of one modality."""

    plan: Plan
    workspace: Workspace

    def acts(self, name: str) -> list[Task]:
        found = [task for task in self.plan.tasks.values() if task.operation == "act"]
        return [task for task in found if task.config["attack"]["name"] == name]

    def inputs(self, task: Task) -> dict[str, Product]:
        return {name: self.workspace.product(ref) for name, ref in task.inputs.items()}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    folder = tmp_path_factory.mktemp("contracts")
    made = {}
    for kind, target in TARGETS.items():
        scenarios = {name: {"attack": tiny.small(name)} for name, own in PAIRS if own == kind}
        written = tiny.spec({kind: target}, scenarios)
        finished = tiny.run(written, folder)
        assert finished.record.errors == ()
        store = Store(str(folder / "store"))
        made[kind] = World(tiny.plan(written, Path(store.url)), Workspace(store))
    return made


@pytest.mark.parametrize(("name", "kind"), UNCHANGED)
def test_what_returns_its_source_takes_no_task(worlds: dict[str, World], name: str, kind: str) -> None:
    world = worlds[kind]
    assert world.acts(name) == []
    figures = [figure for _, figure in world.plan.figures if figure.scenario == name]
    assert figures
    source = world.workspace.product(figures[0].source).value
    if isinstance(source, NotAssessed):
        pytest.skip(source.reason)
    assert isinstance(source, Dataset)
    result = ATTACKS.load(name)().run(source, Bench(Streams(0))).result
    assert result.digest == source.digest


@pytest.mark.parametrize(("name", "kind"), RUN)
def test_an_attack_runs_where_it_says_and_repeats_itself(worlds: dict[str, World], name: str, kind: str) -> None:
    world = worlds[kind]
    tasks = world.acts(name)
    assert tasks, f"{name} was planned nowhere"
    for task in tasks:
        stored = world.workspace.product(_ref(task)).value
        again = _outcome(task, world)
        assert fingerprint(again.value) == fingerprint(stored)
        if isinstance(stored, NotAssessed):
            assert stored.reason
            continue
        limit = task.config.get("limit")
        assert limit is None or again.facts["queries"] <= limit
        assert again.facts["stop_reason"] in ("finished", "query budget spent")


@pytest.mark.parametrize(("name", "kind"), RUN)
def test_a_result_fits_its_source(worlds: dict[str, World], name: str, kind: str) -> None:
    from threatloop import modality

    world = worlds[kind]
    task = world.acts(name)[0]
    source, result = world.inputs(task)["source"].value, world.workspace.product(_ref(task)).value
    direction = ATTACKS.load(name).info.direction
    if isinstance(result, NotAssessed):
        assert result.reason
    elif isinstance(result, Evidence):
        assert all(np.ndim(array) >= 1 for array in result.arrays.values())
    elif direction.target == "D" or isinstance(source, Dataset):
        assert isinstance(result, Dataset)
        assert result.schema == source.schema
        assert len(result) > 0
        assert set(np.unique(result.y)) <= set(range(result.n_classes))
        encoded = np.asarray(modality.of(result.schema).encode(result.x, result.schema))
        assert np.isfinite(encoded).all()
        if isinstance(source, Dataset):
            adds = ATTACKS.load(name).info.adds_records
            theirs = int((result.ids >= 0).sum()) if adds else len(result)
            # What an attack adds may also stand in place of what it was given.
            assert theirs <= len(source) if adds else theirs == len(source)
    else:
        assert isinstance(result, Model)
        assert result.schema == source.schema
        assert result.notes["attack_artefact"] == name
        assert all(np.isfinite(weights).all() for weights in result.weights.values())


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if ATTACKS.load(pair[0]).info.needs])
def test_a_small_budget_is_never_exceeded(worlds: dict[str, World], name: str, kind: str) -> None:
    world = worlds[kind]
    task = world.acts(name)[0]
    limited = replace(task, config={**task.config, "limit": 7})
    try:
        spent = _outcome(limited, world).facts["queries"]
    except NotAssessable as reason:
        spent, why = 0, str(reason)
    assert spent <= 7
    assert spent or "budget" in why


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if ATTACKS.load(pair[0]).info.needs])
def test_what_was_not_granted_cannot_be_used(worlds: dict[str, World], name: str, kind: str) -> None:
    world = worlds[kind]
    task = world.acts(name)[0]
    if not attack_of(task.config["attack"]).required():
        pytest.skip(f"{name} asks for nothing in this configuration")
    with pytest.raises(NotAssessable, match="the service grants nothing"):
        _outcome(replace(task, config={**task.config, "grants": []}), world)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if ATTACKS.load(pair[0]).info.resources])
def test_what_was_not_declared_is_not_there(
    worlds: dict[str, World], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The declared resources are those that it uses: without the declaration it cannot run."""
    world = worlds[kind]
    task = world.acts(name)[0]
    cls = ATTACKS.load(name)
    monkeypatch.setattr(cls, "info", replace(cls.info, resources=frozenset()))
    with pytest.raises((NotAssessable, AccessError), match="without declaring it"):
        _outcome(task, world)


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_no_metric_ever_returns_nan(worlds: dict[str, World], kind: str) -> None:
    world = worlds[kind]
    for task in (task for task in world.plan.tasks.values() if task.operation == "grade"):
        graded = world.workspace.product(_ref(task)).value
        if isinstance(graded, NotAssessed):
            continue
        assert isinstance(graded, Graded)
        expected = set(task.config["metrics"])
        if not any(one["name"] == "badnets" for one in task.config["upstream"]):
            expected.discard("backdoor_inherited")  # says nothing where no backdoor was planted
        assert {reading.metric.partition(".")[0] for reading in graded.readings} >= expected
        for reading in graded.readings:
            if reading.value is None:
                assert reading.undefined, reading.metric
                continue
            assert math.isfinite(reading.value), reading.metric
            assert reading.n > 0, reading.metric
            if reading.low is not None and reading.high is not None:
                assert reading.low <= reading.value <= reading.high, reading.metric


def test_every_metric_graded_something(worlds: dict[str, World]) -> None:
    graded = {
        metric
        for world in worlds.values()
        for task in world.plan.tasks.values()
        if task.operation == "grade"
        for metric in task.config["metrics"]
    }
    assert graded == set(METRICS.names())


GATES = [name for name in DEFENCES.names() if issubclass(DEFENCES.load(name), IngestGate)]


@pytest.mark.parametrize("name", GATES)
def test_a_gate_decides_the_same_twice_and_gives_its_reason(worlds: dict[str, World], name: str) -> None:
    gate = DEFENCES.load(name)()
    assert isinstance(gate, IngestGate)
    assert gate.info.modalities & set(worlds)
    for kind in sorted(gate.info.modalities):
        offers = [task for task in worlds[kind].plan.tasks.values() if task.operation == "protect"]
        data = worlds[kind].inputs(offers[0])["data"].value
        registered = (Registration(b"k" * 16, data, SpreadSpectrum()),)
        first, again = (gate.inspect(data, registered, Streams(0)) for _ in range(2))
        assert first == again
        assert 0.0 <= first.p_value <= 1.0
        assert first.reason
        assert gate.inspect(data, (), Streams(0)).accepted


def _ref(task: Task) -> Ref:
    return Ref(task.key)


def _outcome(task: Task, world: World) -> Product:
    """The attack, run now."""
    inputs = world.inputs(task)
    if any(isinstance(product.value, NotAssessed) for product in inputs.values()):
        return world.workspace.product(_ref(task))
    return act(task, inputs)


def fingerprint(value: Any) -> str:
    """Content of an artefact, whatever its kind."""
    if isinstance(value, (Dataset, Model)):
        return value.digest
    if isinstance(value, Evidence):
        return digest_arrays({name: np.asarray(array) for name, array in value.arrays.items()})
    if isinstance(value, NotAssessed):
        return value.reason
    return digest_array(np.asarray(value))
