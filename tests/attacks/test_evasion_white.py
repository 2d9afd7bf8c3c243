"""Evasions with gradients, against victims whose nearest adversarial examples are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from threatloop.algorithms import hunt
from threatloop.algorithms.apgd import Targeted, checkpoints
from threatloop.algorithms.evasion import Evasion
from threatloop.attacks.data_to_data.apgd_ce import AutoPGD
from threatloop.attacks.data_to_data.apgd_t import TargetedAutoPGD
from threatloop.attacks.data_to_data.carlini_wagner import CarliniWagner
from threatloop.attacks.data_to_data.fgsm import FGSM
from threatloop.attacks.data_to_data.pgd import PGD
from threatloop.core.assets import Architecture, Dataset, Evidence, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import ONE_ANSWER, Case, Graded
from threatloop.core.schema import Column, ImageSchema, Schema, TabularSchema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.metrics.evasion import EvasionSuccess
from threatloop.modality import of
from threatloop.models.build import build
from threatloop.models.network import dump
from threatloop.models.responder import local_service

Floats = npt.NDArray[np.float32]
SHAPE = (1, 4, 4)
TABLE = TabularSchema(
    classes=("low", "high"),
    columns=(
        Column(name="age", kind="integer", low=17, high=90),
        Column(name="gain", low=0.0, high=50.0),
        Column(name="hours", kind="integer", low=1, high=99),
        Column(name="work", kind="categorical", categories=("private", "state", "self", "none")),
        Column(name="sex", kind="categorical", categories=("f", "m")),
        Column(name="score", low=-1.0, high=1.0),
    ),
)


def images(n: int, classes: int, seed: int = 0) -> Dataset:
    """Images around mid-grey, so that the bounds do not bind."""
    rng = np.random.default_rng(seed)
    schema = ImageSchema(classes=tuple("abcdefgh"[:classes]), channels=1, height=4, width=4)
    x = rng.uniform(0.4, 0.6, (n, *SHAPE)).astype(np.float32)
    return Dataset(x, np.zeros(n, np.int64), schema, np.arange(n))


def rows(n: int, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    x = np.stack(
        [
            rng.integers(17, 91, n),
            rng.uniform(0, 50, n),
            rng.integers(1, 100, n),
            rng.integers(0, 5, n),  # 4 is an unseen category
            rng.integers(0, 2, n),
            rng.uniform(-1, 1, n),
        ],
        axis=1,
    ).astype(np.float32)
    return Dataset(x, np.zeros(n, np.int64), TABLE, np.arange(n))


def linear(schema: Schema, weight: Floats, bias: Floats) -> Model:
    """logits = weight · x + bias, on encoded records as they are."""
    columns = weight.shape[1] if isinstance(schema, TabularSchema) else 1
    still = Architecture(name="mlp", parameters={"hidden": ()}, mean=(0.0,) * columns, std=(1.0,) * columns)
    network = build(still, schema, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter, values in zip(network.body.parameters(), (weight, bias), strict=True):
            parameter.copy_(torch.from_numpy(values))
    return dump(network, still, schema)


def labelled(data: Dataset, model: Model) -> Dataset:
    """The records with the victim's own answers as true labels."""
    return data.with_y(local_service(model).labels(data.x))


def attacked(attack: Evasion, data: Dataset, victim: Service) -> tuple[Dataset, Progress]:
    bench = Bench(Streams(0), {Resource.VICTIM: victim}, Progress())
    outcome = attack.run(data, bench).result
    assert isinstance(outcome, Dataset)
    assert len(outcome) == len(data)
    return outcome, bench.progress


def graded(attack: Evasion, data: Dataset, outcome: Dataset, model: Model) -> tuple[dict[str, Any], Graded]:
    truths: dict[str, Dataset | Model | Evidence] = {"source": data, "outcome": outcome, "victim": model}
    found = EvasionSuccess().grade(Case(truths, attack, Streams(0)))
    return {reading.metric: reading.value for reading in found.readings}, found


def needed(data: Dataset, weight: Floats, bias: Floats, order: float) -> npt.NDArray[np.float64]:
    """The smallest ε that fools a linear victim: the lead over each class, by the dual norm of the difference."""
    x = data.x.reshape(len(data), -1).astype(np.float64)
    logits = x @ weight.T + bias
    found = np.full((len(data), len(weight)), np.inf)
    for j in range(len(weight)):
        apart = weight[data.y] - weight[j]
        length = np.linalg.norm(apart, ord=order, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, j] = np.where(data.y == j, np.inf, (logits[np.arange(len(x)), data.y] - logits[:, j]) / length)
    return np.asarray(found.min(axis=1))


def victim_of(classes: int, seed: int = 1) -> tuple[Dataset, Model, Floats, Floats]:
    rng = np.random.default_rng(seed)
    data = images(120, classes)
    weight = rng.normal(size=(classes, 16)).astype(np.float32)
    bias = (-weight @ data.x.reshape(len(data), -1).mean(axis=0)).astype(np.float32)
    model = linear(data.schema, weight, bias)
    return labelled(data, model), model, weight, bias


@pytest.mark.parametrize(
    "attack",
    [FGSM(), PGD(steps=10), PGD(steps=10, random_start=False), AutoPGD(steps=20), TargetedAutoPGD(steps=20)],
    ids=["fgsm", "pgd", "pgd-fixed", "apgd-ce", "apgd-t"],
)
@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_two_classes_fall_at_the_known_radius_and_not_before(attack: Evasion, norm: str, dual: float) -> None:
    data, model, weight, bias = victim_of(2)
    least = needed(data, weight, bias, dual)
    radius = float(np.median(least))
    attack = type(attack).model_validate({**attack.model_dump(), "norm": norm, "epsilon": radius})
    outcome, progress = attacked(attack, data, local_service(model))
    fooled = local_service(model).labels(outcome.x) != data.y
    clear = np.abs(least - radius) > 0.02 * radius
    assert np.array_equal(fooled[clear], (least < radius)[clear])
    assert progress.notes["gradient_nonzero"] == 1.0
    assert progress.notes["loss_last"] < progress.notes["loss_first"]
    values, _ = graded(attack, data, outcome, model)
    assert values["evasion"] == pytest.approx((least <= radius).mean(), abs=0.05)
    assert values["evasion.valid"] == 1.0


@pytest.mark.parametrize("classes", [3, 6])
def test_targets_find_every_class_that_is_in_reach(classes: int) -> None:
    data, model, weight, bias = victim_of(classes)
    least = needed(data, weight, bias, 1)
    radius = float(np.median(least))
    attack = TargetedAutoPGD(epsilon=radius, steps=30)
    outcome, progress = attacked(attack, data, local_service(model))
    fooled = local_service(model).labels(outcome.x) != data.y
    assert fooled[least < 0.97 * radius].all()
    assert not fooled[least > 1.001 * radius].any()
    assert progress.notes["dlr_replaced"] == float(classes < 4)


@pytest.mark.parametrize("classes", [2, 5])
def test_carlini_wagner_finds_the_nearest_example(classes: int) -> None:
    data, model, weight, bias = victim_of(classes)
    attack = CarliniWagner(epsilon=0.05, steps=60)
    outcome, _ = attacked(attack, data, local_service(model))
    values, found = graded(attack, data, outcome, model)
    least, distance = needed(data, weight, bias, 2), found.records["evasion.distance"]
    assert (distance >= least * 0.999).all()
    assert np.median(distance / least) < 1.01
    # It follows the class that leads; seldom another one is nearer.
    assert (distance <= least * 1.1 + 1e-4).mean() > (0.99 if classes == 2 else 0.9)
    assert values["evasion"] == pytest.approx((least <= 0.05).mean(), abs=0.03)
    curve = found.curves["robust_accuracy"]
    at = np.interp(0.05, curve["epsilon"], curve["robust_accuracy"])
    assert at == pytest.approx(values["evasion.robust_accuracy"], abs=0.05)


def test_the_lead_that_is_sought_survives_the_way_back() -> None:
    data, model, weight, bias = victim_of(3)
    outcome, _ = attacked(CarliniWagner(confidence=0.2), data, local_service(model))
    logits = outcome.x.reshape(len(data), -1) @ weight.T + bias
    lead = logits.max(axis=1) - logits[np.arange(len(data)), data.y]
    moved = (outcome.x != data.x).reshape(len(data), -1).any(axis=1)
    assert moved.mean() > 0.5
    assert 0.19 < lead[moved].min() < 0.21


def test_bounds_of_pixels_hold() -> None:
    data, model, _, _ = victim_of(4)
    dark = labelled(data.with_x((data.x > 0.5).astype(np.float32)), model)
    for attack in (PGD(epsilon=0.3, steps=5), AutoPGD(epsilon=2.0, norm="l2", steps=5), CarliniWagner(steps=20)):
        outcome, _ = attacked(attack, dark, local_service(model))
        assert outcome.x.min() >= 0
        assert outcome.x.max() <= 1


ON_TABLES = [
    FGSM(epsilon=0.2, category_cost=0.1),
    PGD(epsilon=0.2, category_cost=0.1, steps=20),
    PGD(epsilon=0.3, norm="l2", category_cost=0.2, steps=20),
    AutoPGD(epsilon=0.2, category_cost=0.1, steps=20),
    TargetedAutoPGD(epsilon=0.3, norm="l2", category_cost=0.2, steps=20),
    CarliniWagner(epsilon=0.3, searches=3, steps=30),
]


def curved(data: Dataset) -> Model:
    """A random network that reads columns at their scale, so that every column matters."""
    encoded = of(TABLE).encode(data.x, TABLE)
    still = Architecture(
        name="mlp",
        parameters={"hidden": (16,)},
        mean=tuple(map(float, encoded.mean(axis=0))),
        std=tuple(map(float, encoded.std(axis=0) + 1e-3)),
    )
    network = build(still, TABLE, torch.Generator().manual_seed(3))
    with torch.no_grad():
        last = list(network.body.parameters())[-1]
        last.sub_(network(torch.from_numpy(encoded)).mean(dim=0))  # or it would answer one class only
    return dump(network, still, TABLE)


@pytest.mark.parametrize("attack", ON_TABLES, ids=lambda a: f"{type(a).__name__}-{a.norm}")
def test_tables_stay_valid_and_in_the_ball(attack: Evasion) -> None:
    data = rows(150)
    model = curved(data)
    data = labelled(data, model)
    attack = attack.model_copy(update={"immutable": ("sex", "hours")})
    outcome, _ = attacked(attack, data, local_service(model))
    changed = outcome.x != data.x
    fooled = local_service(model).labels(outcome.x) != data.y
    assert fooled.sum() > 5
    assert np.array_equal(changed.any(axis=1), fooled)
    assert not changed[:, [2, 4]].any()
    assert changed[:, [0, 1, 5]].any(axis=0).all()
    assert np.array_equal(outcome.x[:, 0], np.rint(outcome.x[:, 0]))
    for i, column in enumerate(TABLE.columns):
        if column.kind != "categorical":
            assert outcome.x[:, i].min() >= column.low
            assert outcome.x[:, i].max() <= column.high
    switched = changed[:, 3]
    assert switched.any() == (not attack.minimises)
    assert set(np.unique(outcome.x[switched, 3])) <= {0.0, 1.0, 2.0, 3.0}
    widths = np.array([73, 50, 98, 1, 1, 2])
    parts = np.abs(outcome.x - data.x) / widths
    parts[:, 3] = switched * attack.category_cost
    distance = parts.max(axis=1) if attack.norm == "linf" else np.sqrt((parts**2).sum(axis=1))
    if not attack.minimises:
        assert distance.max() <= attack.epsilon * (1 + 1e-5)  # type: ignore[operator]
    values, found = graded(attack, data, outcome, model)
    np.testing.assert_allclose(found.records["evasion.distance"], distance, atol=1e-6)
    assert values["evasion.valid"] == 1.0
    assert values["evasion"] == (fooled & (distance <= attack.epsilon * (1 + 1e-5))).mean()  # type: ignore[operator]


def test_a_linear_victim_on_a_table_falls_wherever_exhaustive_search_finds_a_way() -> None:
    rng = np.random.default_rng(5)
    data, width = rows(80), 10
    scale = np.array([73, 50, 98, *[1] * 6, 2])
    weight = (rng.normal(size=(2, width)) / scale).astype(np.float32)
    weight[:, 3:9] *= 0.1
    encoded = of(TABLE).encode(data.x, TABLE)
    model = linear(TABLE, weight, (-weight @ encoded.mean(axis=0)).astype(np.float32))
    data = labelled(data, model)
    radius = 0.08
    possible = np.zeros(len(data), bool)
    for i, (record, label) in enumerate(zip(data.x, data.y, strict=True)):
        slope = weight[1 - label] - weight[label]
        best = record.copy()
        for j, k in ((0, 0), (1, 1), (2, 2), (5, 9)):
            span = [73, 50, 98, 0, 0, 2][j] * radius
            low, high = TABLE.columns[j].low or 0.0, TABLE.columns[j].high or 0.0
            edge = np.clip(record[j] + np.sign(slope[k]) * span, low, high)
            towards = np.floor if slope[k] > 0 else np.ceil
            best[j] = towards(edge + 1e-6 * np.sign(slope[k])) if TABLE.columns[j].kind == "integer" else edge
        tries = np.tile(best, (10, 1))
        tries[:, 3:5] = [*product(range(4), range(2)), (record[3], 0), (record[3], 1)]
        possible[i] = (local_service(model).labels(tries) != label).any()
    outcome, _ = attacked(PGD(epsilon=radius, category_cost=0.05, steps=30), data, local_service(model))
    fooled = local_service(model).labels(outcome.x) != data.y
    assert 0.2 < possible.mean() < 1
    assert not (fooled & ~possible).any()
    assert np.array_equal(fooled, possible)


@pytest.mark.parametrize(
    "attack", [FGSM(), PGD(steps=5), AutoPGD(steps=5), TargetedAutoPGD(steps=5), CarliniWagner(steps=5)]
)
def test_a_constant_victim_cannot_be_fooled(attack: Evasion) -> None:
    data = images(40, 3).with_y(np.arange(40) % 2)
    model = linear(data.schema, np.zeros((3, 16), np.float32), np.array([1, 0, 0], np.float32))
    outcome, progress = attacked(attack, data, local_service(model))
    assert outcome.digest == data.digest
    assert progress.notes["gradient_nonzero"] == 0.0
    values, found = graded(attack, data, outcome, model)
    assert values["evasion"] == 0.5
    assert values["evasion.success_on_correct"] is None
    assert ONE_ANSWER in {reading.undefined for reading in found.readings}
    assert values["evasion.median_distance"] is None
    assert found.gallery == {}


def test_one_answer_to_the_attacked_records_alone_excuses_nothing() -> None:
    data, model, _, _ = victim_of(4)
    same = np.flatnonzero(data.y == 0)[:3]
    data = data.take(np.concatenate([same, np.setdiff1d(np.arange(len(data)), same)]))
    values, found = graded(PGD(records=3), data, data, model)
    assert values["evasion.success_on_correct"] == 0.0
    assert ONE_ANSWER not in {reading.undefined for reading in found.readings}


def test_far_targets_do_not_hide_that_the_loss_fell() -> None:
    """One class leads far behind all others: the way towards it must not be what the note tells."""
    data = images(40, 4)
    weight = np.zeros((4, 16), np.float32)
    weight[0], weight[3] = 1, -1
    bias = np.array([0, 7.5, 7.4, -30], np.float32)
    labels = (data.x.reshape(40, -1) @ weight.T + bias).argmax(axis=1)
    data = data.with_y(labels).take(np.flatnonzero(labels == 0))
    _, progress = attacked(
        TargetedAutoPGD(epsilon=0.003, steps=5), data, local_service(linear(data.schema, weight, bias))
    )
    assert progress.notes["loss_last"] < progress.notes["loss_first"]


@pytest.mark.parametrize("attack", [PGD(steps=40), AutoPGD(steps=40), TargetedAutoPGD(steps=40), CarliniWagner()])
def test_without_a_bound_every_record_falls(attack: Evasion) -> None:
    data, model, _, _ = victim_of(4)
    whole = attack.unbounded()
    assert whole is not None
    outcome, _ = attacked(whole, data, local_service(model))
    values, _ = graded(whole, data, outcome, model)
    assert values["evasion"] == 1.0
    assert (outcome.x[32:] == data.x[32:]).all()


def test_the_judge_counts_no_example_that_is_far_or_invalid() -> None:
    data, model, _, _ = victim_of(2)
    attack = PGD(epsilon=0.05)
    far = data.with_x(1 - data.x)
    values, _ = graded(attack, data, far, model)
    assert values["evasion"] == 0.0
    outside = data.with_x(data.x * 100)
    values, _ = graded(PGD(epsilon=1e3), data, outside, model)
    assert values["evasion"] == 0.0
    assert values["evasion.valid"] == 0.0


def test_only_so_many_records_are_attacked_and_a_spent_budget_keeps_what_was_found() -> None:
    data, model, _, _ = victim_of(2)
    outcome, _ = attacked(PGD(epsilon=0.3, records=10), data, local_service(model))
    assert (outcome.x[10:] == data.x[10:]).all()
    assert (outcome.x[:10] != data.x[:10]).any(axis=(1, 2, 3)).all()
    bench = Bench(Streams(0), {Resource.VICTIM: local_service(model, limit=250)}, Progress())
    ended = PGD(epsilon=0.3).run(data, bench)
    assert ended.stop_reason == "query budget spent"
    assert len(ended.result) == len(data)
    assert (ended.result.x != data.x).any()


@dataclass(frozen=True)
class Steps:
    """A victim that rounds its input away."""

    model: Service

    def differentiable(self) -> Any:
        inside = self.model.responder.differentiable()
        return lambda x: inside(x.detach().round())


def test_a_victim_without_gradients_is_not_assessable() -> None:
    data, model, _, _ = victim_of(2)
    service = local_service(model)
    hard = Service(Steps(service), service.schema)  # type: ignore[arg-type]
    with pytest.raises(NotAssessable, match="gives no gradients"):
        attacked(PGD(), data, hard)


def test_averaging_sees_through_a_victim_that_answers_at_random() -> None:
    data, model, weight, bias = victim_of(2)
    service, generator = local_service(model), torch.Generator().manual_seed(0)

    @dataclass(frozen=True)
    class Noisy:
        def differentiable(self) -> Any:
            inside = service.responder.differentiable()
            return lambda x: inside(x + torch.randn(x.shape, generator=generator) * 0.3)

    radius = float(np.quantile(needed(data, weight, bias, 1), 0.8))
    noisy = Service(Noisy(), service.schema)  # type: ignore[arg-type]
    outcome, _ = attacked(PGD(epsilon=radius, steps=10, expectation=20), data, noisy)
    assert noisy.ledger.spent % 20 == 0
    assert (np.abs(outcome.x - data.x).max(axis=(1, 2, 3)) <= radius + 1e-6).all()
    assert (outcome.x != data.x).any(axis=(1, 2, 3)).mean() > 0.6


def test_problems_name_what_is_wrong_before_any_compute() -> None:
    schema = images(1, 2).schema
    assert PGD().problems(schema, 10) == []
    assert "8/255" in PGD(epsilon=8).problems(schema, 10)[0]
    assert "have no columns" in PGD(immutable=("age",)).problems(schema, 10)[0]
    assert "did you mean 'hours'" in PGD(immutable=("hour",)).problems(TABLE, 10)[0]
    numbers = tuple(c.name for c in TABLE.columns if c.kind != "categorical")
    assert "category_cost" in PGD(immutable=numbers).problems(TABLE, 10)[0]
    assert "may change" in PGD(immutable=tuple(c.name for c in TABLE.columns)).problems(TABLE, 10)[0]
    assert PGD(immutable=("sex",), epsilon=0.3).problems(TABLE, 10) == []
    alone = TABLE.model_copy(update={"classes": ("one",)})
    assert "one class" in PGD().problems(alone, 10)[0]


def test_checkpoints_are_those_of_the_paper() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]


def test_the_targeted_ratio_does_not_see_scale_or_shift() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -2.0, 2.0]])
    label, aim = torch.tensor([0]), torch.tensor([2])
    value = Targeted(aim)(logits, label)
    assert value.item() == pytest.approx(-(3.0 - 0.5) / (3.0 - (1.0 + 0.5) / 2))
    assert Targeted(aim)(7 * logits + 5, label).item() == pytest.approx(value.item())


def test_rounded_steps_find_as_much_as_exact_ones_and_claim_nothing_false(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = ImageSchema(classes=tuple("abcd"), channels=3, height=16, width=16)
    architecture = Architecture(name="cnn", mean=(0.5,) * 3, std=(0.25,) * 3)
    model = dump(build(architecture, schema, torch.Generator().manual_seed(3)), architecture, schema)
    x = np.random.default_rng(3).uniform(0, 1, (128, 3, 16, 16)).astype(np.float32)
    data = labelled(Dataset(x, np.zeros(128, np.int64), schema, np.arange(128)), model)
    found = {}
    for rounded in (True, False):
        monkeypatch.setattr(hunt, "bfloat16_is_fast", lambda _, there=rounded: there)
        outcome, _ = attacked(PGD(epsilon=0.002, steps=12), data, local_service(model))
        moved = (outcome.x != data.x).any(axis=(1, 2, 3))
        found[rounded] = moved
        assert (local_service(model).labels(outcome.x) != data.y)[moved].all()
    assert 0.1 < found[False].mean() < 0.9
    assert abs(found[True].mean() - found[False].mean()) <= 0.05
