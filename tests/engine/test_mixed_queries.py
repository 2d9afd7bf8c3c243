"""Who knows of a monitor asks among benign questions, within the same budget, and is seen less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tiny
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_data.hopskipjump import HopSkipJump
from threatloop.attacks.model_to_model.knockoff import Knockoff
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.catalogue import ATTACKS
from threatloop.core.cover import COVER, Cover, own_share
from threatloop.core.defence import Adaptation
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.defences.monitor.query_similarity import QuerySimilarity
from threatloop.engine.operations.serve import Front
from threatloop.engine.plan import Plan
from threatloop.engine.task import Task
from threatloop.models.responder import responder_of

MIXING = frozenset({Adaptation.MIXING})
SCENARIOS = {
    "theft": {"attack": {"name": "knockoff", "queries": 100, "steps": 5}},
    "walk": {"attack": {"name": "hopskipjump", "records": 2, "queries_per_record": 150}},
    "pgd": {"attack": {"name": "pgd", "records": 8, "steps": 2}},
}


def test_the_questions_stand_in_their_order_among_benign_ones() -> None:
    held = np.arange(100, 130, dtype=np.float32)[:, None]
    cover = Cover(held, np.random.default_rng(0), times=4)
    seen = [cover.among(np.arange(n, dtype=np.float32)[:, None]) for n in (6, 1, 3)]
    assert [len(one) for one in seen] == [30, 5, 15]
    for one, n in zip(seen, (6, 1, 3), strict=True):
        assert one[one[:, 0] < 100, 0].tolist() == list(range(n))
    others = np.concatenate([one[one[:, 0] >= 100, 0] for one in seen])
    assert len(set(others[:30])) == 30  # none twice before all were asked
    assert set(others) == set(held[:, 0])


def test_bytes_are_scaled_where_the_attack_asks_floats() -> None:
    cover = Cover(np.full((3, 2), 255, np.uint8), np.random.default_rng(0))
    seen = cover.among(np.zeros((2, 2), np.float32))
    assert seen.dtype == np.float32
    assert seen.max() == 1
    assert cover.among(np.zeros((2, 2), np.uint8)).dtype == np.uint8


def test_a_stated_budget_is_shared_with_the_cover() -> None:
    theft = Knockoff(queries=100)
    assert theft.forms(MIXING) == (theft.model_copy(update={"queries": own_share(100)}),)
    assert own_share(100) * (COVER + 1) <= 100
    assert own_share(3) == 1
    (walk,) = HopSkipJump(queries_per_record=100).forms(MIXING)
    assert walk == HopSkipJump(queries_per_record=own_share(100))
    assert HopSkipJump(queries_per_record=3).forms(MIXING)[0] == HopSkipJump(queries_per_record=2)
    loss = ATTACKS.load("loss_threshold")()
    assert loss.forms(MIXING) == (loss,)
    for name in ("pgd", "badnets", "honest_contribution"):  # what looks inside asks nothing that is watched
        assert ATTACKS.load(name)().forms(MIXING) == ATTACKS.load(name)().adapted(frozenset())
    labels = frozenset({Adaptation.LABELS})
    few = theft.model_copy(update={"queries": own_share(100)})
    assert theft.forms(MIXING | labels) == (few.model_copy(update={"answers": "hard"}), few)
    assert theft.forms(labels) == theft.adapted(labels)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    sets = {"watched": ["query_similarity"], "budget": ["query_budget"]}
    return tiny.plan(tiny.spec(scenarios=SCENARIOS, defences=sets), tmp_path_factory.mktemp("mixed"))


def mixing(plan: Plan) -> list[Task]:
    return [task for task in plan.tasks.values() if task.config.get("mixing")]


def test_only_the_informed_attacker_of_a_watched_victim_mixes(plan: Plan) -> None:
    found = mixing(plan)
    assert sorted(task.config["attack"]["name"] for task in found) == ["hopskipjump"] * 2 + ["knockoff"] * 2
    assert all("cover" in task.inputs for task in found)
    plain = [task for task in plan.tasks.values() if task.operation == "act" and not task.config.get("mixing")]
    assert {task.config["attack"]["name"] for task in plain} >= {"hopskipjump", "knockoff", "pgd"}
    assert not any("cover" in task.inputs for task in plain)


def test_the_monitor_sees_the_mixture_and_the_attacker_his_answers_alone() -> None:
    rng = np.random.default_rng(0)
    schema = ImageSchema(classes=("a", "b"), channels=1, height=4, width=4)
    data = Dataset(rng.random((300, 1, 4, 4), dtype=np.float32), rng.integers(2, size=300), schema, np.arange(300))
    training = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [8]}), Recipe(epochs=2))
    responder = responder_of(training.fit(data, Streams(0)))
    front = Front((QuerySimilarity(),), data, cover=Cover(data.x, rng))
    watched = front.watched(responder)
    np.testing.assert_array_equal(watched.log_probs(data.x[:7]), responder.log_probs(data.x[:7]))
    assert sum(map(len, front.asked)) == 7 * (COVER + 1)


@pytest.mark.slow
def test_an_attack_that_is_seen_bare_hides_in_the_adaptive_arm(tmp_path: Path) -> None:
    walk = {"attack": {"name": "hopskipjump", "records": 4, "queries_per_record": 100}}
    model = {"data": "digits", "model": {"name": "mlp"}, "shadows": 2}
    spec = tiny.spec({"digits": model}, {"walk": walk}, defences={"watched": ["prada"]}, seeds=3)
    tiny.run(spec, tmp_path)
    rows = pq.read_table(tmp_path / "out" / "measurements.parquet").to_pylist()
    flagged = {
        arm: [row["value"] for row in rows if row["metric"] == "monitor.prada.flagged" and row["arm"] == arm]
        for arm in ("attack", "adaptive")
    }
    assert sum(flagged["attack"]) >= 2
    assert sum(flagged["adaptive"]) <= 1
    queries = {row["arm"]: row["queries"] for row in rows if row["metric"] == "evasion" and row["condition"]}
    assert queries["adaptive"] <= 400  # all of them, cover included
