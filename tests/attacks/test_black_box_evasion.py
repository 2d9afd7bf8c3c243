"""Square, HopSkipJump, FAB and AutoAttack on real records: valid, within budget, and as strong as they claim."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from m2d_world import STREAMS, World, breast_cancer

from threatloop import modality
from threatloop.algorithms.evasion import Evasion
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_data.autoattack import AutoAttack
from threatloop.attacks.data_to_data.fab import FAB
from threatloop.attacks.data_to_data.hopskipjump import HopSkipJump
from threatloop.attacks.data_to_data.square_attack import SquareAttack
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.schema import Column, TabularSchema
from threatloop.models.responder import local_service

Bools = npt.NDArray[np.bool_]
SMALL = {"square": {"queries_per_record": 60}, "hopskipjump": {"queries_per_record": 60}, "fab": {"steps": 5}}
AUTO = AutoAttack(records=20, steps=10, queries_per_record=50)
ATTACKS: tuple[Evasion, ...] = (
    SquareAttack(records=20, queries_per_record=60),
    HopSkipJump(records=20, queries_per_record=60),
    FAB(records=20, steps=5),
    AUTO,
)


def attacked(attack: Evasion, model: Model, data: Dataset, limit: int | None = None) -> tuple[Dataset, int, Bench]:
    service = local_service(model, limit=limit)
    bench = Bench(STREAMS.child("evade"), {Resource.VICTIM: service}, Progress())
    found = attack.run(data, bench).result
    return found, service.ledger.spent, bench


def wrong(model: Model, data: Dataset) -> Bools:
    return np.asarray(local_service(model).labels(data.x) != data.y)


def mixed_table(n: int = 400) -> Dataset:
    """Two numbers, a whole number and a category; the class hangs on all four."""
    rng = np.random.default_rng(5)
    columns = (
        Column(name="a", low=0, high=10),
        Column(name="fixed", low=0, high=1),
        Column(name="count", kind="integer", low=0, high=20),
        Column(name="colour", kind="categorical", categories=("r", "g", "b")),
    )
    x = np.stack(
        [rng.uniform(0, 10, n), rng.uniform(0, 1, n), rng.integers(0, 21, n), rng.integers(0, 3, n)], axis=1
    ).astype(np.float32)
    y = (x[:, 0] / 10 + x[:, 1] + x[:, 2] / 20 + (x[:, 3] == 1) > 1.8).astype(np.int64)
    return Dataset(x, y, TabularSchema(classes=("no", "yes"), columns=columns), np.arange(n))


@pytest.fixture(scope="module")
def table() -> tuple[Dataset, Model]:
    data = mixed_table()
    training = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [16]}), Recipe(epochs=20))
    return data, training.fit(data, STREAMS.child("table"))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("epsilon", [0.2, 1.2])
def test_tables_stay_tables(table: tuple[Dataset, Model], attack: Evasion, norm: str, epsilon: float) -> None:
    data, model = table
    attack = attack.model_copy(update={"norm": norm, "epsilon": epsilon, "immutable": ("fixed",)})
    found, _, _ = attacked(attack, model, data)
    moved = (found.x != data.x).any(axis=1)
    assert moved.any()
    assert not moved[attack.records :].any()
    assert modality.of(data.schema).problems(found) == []
    np.testing.assert_array_equal(found.x[:, 1], data.x[:, 1])
    assert wrong(model, found)[moved].all()
    if not attack.minimises:
        space = attack.space(data)
        encoded = [np.asarray(modality.of(data.schema).encode(x, data.schema)) for x in (found.x, data.x)]
        assert (space.distance(encoded[0], encoded[1], attack.norm) <= epsilon * (1 + 1e-5)).all()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("limit", [0, 1, 7, 100, 777])
def test_no_budget_breaks_it_and_none_is_passed(world: World, attack: Evasion, limit: int) -> None:
    if limit == 0:
        with pytest.raises(NotAssessable, match="budget"):
            attacked(attack, world.victim, world.nonmembers, limit)
        return
    found, spent, _ = attacked(attack, world.victim, world.nonmembers, limit)
    assert len(found) == len(world.nonmembers)
    assert 0 < spent <= limit
    moved = (np.asarray(found.x, np.float32) / (1 if found.x.dtype == np.float32 else 255)) != (
        world.nonmembers.x.astype(np.float32) / 255
    )
    assert wrong(world.victim, found)[moved.reshape(len(found), -1).any(axis=1)].all()


def test_a_broken_record_is_not_asked_again_and_margins_fall(world: World) -> None:
    attack = SquareAttack(records=50, epsilon=0.3, queries_per_record=300)
    found, spent, bench = attacked(attack, world.victim, world.nonmembers)
    assert wrong(world.victim, found)[:50].mean() > 0.95
    assert spent < 50 * 300 / 3
    assert bench.progress.notes["loss_last"] < bench.progress.notes["loss_first"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_labels_come_near_to_what_gradients_find(world: World, norm: str) -> None:
    distances = {}
    for attack in (FAB(norm=norm, records=20, steps=30), HopSkipJump(norm=norm, records=20, queries_per_record=2000)):
        found, spent, _ = attacked(attack, world.victim, world.nonmembers)
        assert wrong(world.victim, found)[:20].all()
        apart = np.abs(found.x[:20] - world.nonmembers.x[:20].astype(np.float32) / 255).reshape(20, -1)
        distances[type(attack)] = apart.max(axis=1) if norm == "linf" else np.sqrt((apart**2).sum(axis=1))
        assert spent <= 20 * 2000
    used = distances[FAB] > 0
    ratio = distances[HopSkipJump][used] / distances[FAB][used]
    assert 0.97 < np.median(ratio) < 1.2


def test_autoattack_breaks_what_any_member_breaks(world: World) -> None:
    epsilon = 0.06
    auto, _, bench = attacked(AUTO.model_copy(update={"epsilon": epsilon}), world.victim, world.nonmembers)
    fab, _, _ = attacked(FAB(records=20, epsilon=epsilon, steps=10), world.victim, world.nonmembers)
    apart = np.abs(fab.x[:20] - world.nonmembers.x[:20].astype(np.float32) / 255).reshape(20, -1).max(axis=1)
    by_fab = wrong(world.victim, fab)[:20] & (apart <= epsilon)
    broken = wrong(world.victim, auto)[:20]
    assert broken[by_fab].all()
    assert 0 < broken.sum() < 20
    notes = bench.progress.notes
    members = sum(notes[f"broken_by_{name}"] for name in ("apgd_ce", "apgd_t", "fab_t", "square"))
    assert members + wrong(world.victim, world.nonmembers)[:20].sum() == broken.sum()
    assert notes["dlr_replaced"] == 0


def test_few_classes_replace_the_ratio_and_say_so(table: tuple[Dataset, Model]) -> None:
    _, _, bench = attacked(AUTO, table[1], table[0])
    assert bench.progress.notes["dlr_replaced"] == 1


def test_two_classes_and_bounds_from_the_schema() -> None:
    data = breast_cancer()
    training = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [8]}), Recipe(epochs=3))
    model = training.fit(data, STREAMS.child("cancer"))
    found, _, _ = attacked(HopSkipJump(records=10, norm="l2", queries_per_record=300), model, data)
    assert wrong(model, found)[:10].all()
    assert modality.of(data.schema).problems(found) == []
