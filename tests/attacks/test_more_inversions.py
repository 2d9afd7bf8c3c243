"""Inversions with a network or a generator: what the model knows is found, and nothing where it knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from m2d_world import STREAMS, World, breast_cancer, digits, letters

from threatloop import modality
from threatloop.algorithms.autoencoder import AutoencoderRecipe, train_autoencoder
from threatloop.algorithms.record_features import channel_scale, vectors
from threatloop.algorithms.repulsion import Repulsion, Walk
from threatloop.algorithms.score_inverter import prototypes, truncated
from threatloop.attacks.model_to_data.generative_guess import GenerativeGuess
from threatloop.attacks.model_to_data.generative_inversion import GenerativeInversion
from threatloop.attacks.model_to_data.inversion_network import InversionNetwork
from threatloop.attacks.model_to_data.label_only_inversion import LabelOnlyInversion
from threatloop.attacks.model_to_data.prior_guess import PriorGuess
from threatloop.core.access import Capability, Ledger
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, NotAssessable
from threatloop.core.schema import ImageSchema
from threatloop.core.service import Service
from threatloop.core.step import Outcome
from threatloop.metrics.inversion import Inversion
from threatloop.models.responder import local_service

ATTACKS: list[ModelToData] = [
    InversionNetwork(generator_steps=150),
    GenerativeInversion(generator_steps=150, steps=30),
    LabelOnlyInversion(generator_steps=150, queries=10_000),
]
IDS = [type(attack).__name__ for attack in ATTACKS]


@dataclass
class Planted:
    """A model that is a formula: logits of an encoded batch."""

    schema: Any
    formula: Callable[[torch.Tensor], torch.Tensor]

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        encoded = torch.from_numpy(np.ascontiguousarray(modality.of(self.schema).encode(x, self.schema)))
        return np.asarray(torch.log_softmax(self.formula(encoded), 1).numpy())

    def differentiable(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return self.formula

    def model(self) -> Any:
        raise AssertionError("weights were read")


def service_of(pool: Dataset, formula: Callable[[torch.Tensor], torch.Tensor], attack: ModelToData) -> Service:
    return Service(Planted(pool.schema, formula), pool.schema, attack.required(), Ledger())


def bench_of(pool: Dataset) -> Bench:
    return Bench(STREAMS.child("planted"), {Resource.QUERY_POOL: pool})


def invert(world: World, attack: ModelToData, limit: int | None = None) -> tuple[Outcome[Any], Bench, int]:
    service, bench = local_service(world.victim, attack.required(), limit), world.bench(Resource.QUERY_POOL)
    return attack.run(service, bench), bench, service.ledger.spent


def advantage(world: World, outcome: Dataset) -> float:
    graded = Inversion().grade(world.case(outcome, PriorGuess()))
    return next(float(r.value) for r in graded.readings if r.metric == "inversion" and r.value is not None)


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
@pytest.mark.parametrize("data", [digits(), breast_cancer()], ids=["images", "table"])
def test_prototypes_that_only_the_model_knows_are_found(attack: ModelToData, data: Dataset) -> None:
    """The attacker's labels are noise; the model compares with two prototypes."""
    rng, scale = np.random.default_rng(0), channel_scale(data)
    known = np.stack([vectors(data.take(data.y == label)).mean(axis=0) for label in (0, 1)])
    schema = data.schema.model_copy(update={"classes": ("first", "second")})
    some = data.take(rng.permutation(len(data))[:400])
    pool = Dataset(some.x, rng.integers(2, size=400), schema, some.ids)
    centres, spread = torch.from_numpy(known), torch.from_numpy(scale)

    def formula(x: torch.Tensor) -> torch.Tensor:
        return -((x.flatten(1)[:, None] - centres) / spread).square().mean(dim=2) * 5

    bench = bench_of(pool)
    found = attack.run(service_of(pool, formula, attack), bench).result
    guess = PriorGuess().run(service_of(pool, formula, PriorGuess()), bench).result
    own, other = (np.linalg.norm((vectors(found) - known[y]) / scale, axis=1) for y in (found.y, 1 - found.y))
    before, wrong = (np.linalg.norm((vectors(guess) - known[y]) / scale, axis=1) for y in (guess.y, 1 - guess.y))
    gain = np.array([(far - near)[found.y == label].mean() for far, near in [(other, own)] for label in (0, 1)])
    without = np.array([(far - near)[guess.y == label].mean() for far, near in [(wrong, before)] for label in (0, 1)])
    assert (gain > without + 0.3).all()
    assert own.mean() < before.mean() * 1.1
    assert modality.of(schema).problems(found) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_a_constant_model_gives_no_more_than_the_prior(world: World, attack: ModelToData) -> None:
    def formula(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 10) + 0 * x.sum()

    bench = bench_of(world.pool)
    found = attack.run(service_of(world.pool, formula, attack), bench).result
    prior = GenerativeGuess(generator_steps=150).run(service_of(world.pool, formula, PriorGuess()), bench).result
    assert advantage(world, found) < advantage(world, prior) + 0.01
    assert bench.progress.notes.get("gradient_nonzero", 0.0) == 0.0


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_what_the_model_knows_beats_the_guess_without_it(world: World, attack: ModelToData) -> None:
    guess = attack.as_baseline().run(local_service(world.victim), world.bench(Resource.QUERY_POOL)).result
    outcome, bench, _ = invert(world, attack)
    assert advantage(world, outcome.result) > advantage(world, guess) + 0.005
    assert outcome.result.y.tolist() == np.repeat(np.arange(10), 4).tolist()
    assert (outcome.result.ids == -1).all()
    notes = bench.progress.notes
    assert notes["loss_last"] < notes["loss_first"]
    assert notes.get("generator_loss_last", -1.0) < notes.get("generator_loss_first", 0.0)


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_the_same_streams_give_the_same_records_and_others_do_not(world: World, attack: ModelToData) -> None:
    quick = attack.model_copy(update={"generator_steps": 20, "per_class": 2})
    first, again = (invert(world, quick)[0].result for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    other = quick.run(local_service(world.victim), world.bench(Resource.QUERY_POOL, role="other")).result
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
@pytest.mark.parametrize("limit", [0, 1, 7, 39, 41, 500])
def test_any_budget_gives_a_result_or_the_reason(world: World, attack: ModelToData, limit: int) -> None:
    quick = attack.model_copy(update={"generator_steps": 5})
    if limit < (80 if isinstance(attack, GenerativeInversion) else 1):
        with pytest.raises(NotAssessable, match="budget"):
            invert(world, quick, limit)
        return
    outcome, _, spent = invert(world, quick, limit)
    assert outcome.stop_reason == "query budget spent"
    assert 0 < spent <= limit
    assert len(outcome.result) == 40
    if not isinstance(attack, GenerativeInversion):  # which asks about all its records or none
        assert spent == limit


def test_labels_are_all_that_label_only_inversion_reads(world: World) -> None:
    attack = LabelOnlyInversion(generator_steps=20, queries=2000)
    honest = local_service(world.victim)
    seen, _, asked = invert(world, attack)
    assert asked == 2000

    class Distorted(Planted):
        def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            return np.asarray(np.eye(10, dtype=np.float32)[honest.responder.log_probs(x).argmax(axis=1)])

    service = Service(Distorted(world.pool.schema, lambda x: x), world.pool.schema, frozenset({Capability.LABELS}))
    same = attack.run(service, world.bench(Resource.QUERY_POOL)).result
    np.testing.assert_array_equal(seen.result.x, same.x)
    with pytest.raises(AccessError, match="scores"):
        InversionNetwork().run(service, world.bench(Resource.QUERY_POOL))


def test_text_is_not_assessed_with_the_reason(world: World) -> None:
    bench = Bench(STREAMS, {Resource.QUERY_POOL: letters(50, np.random.default_rng(0))})
    for attack in ATTACKS:
        with pytest.raises(NotAssessable, match="small steps"):
            attack.run(local_service(world.victim), bench)


def test_repulsion_finds_the_middle_of_a_ball() -> None:
    centre = np.array([0.8, -0.5, 0.3], np.float32)
    walk = Repulsion(
        np.ones(5, np.int64), np.zeros((5, 3), np.float32), Walk(32, 3.0, 0.2, 1.2), np.random.default_rng(0)
    )
    for _ in range(150):
        walk.step(lambda z, _: (np.linalg.norm(z - centre, axis=1) < 1.2).astype(np.int64))
    assert np.linalg.norm(walk.best - centre, axis=1).max() < 0.4
    assert (walk.radius > 0.75).all()
    assert (walk.radius < 1.5).all()


def test_repulsion_takes_only_whole_spheres_for_clear() -> None:
    walk = Repulsion(
        np.ones(4, np.int64), np.zeros((4, 2), np.float32), Walk(3, 1.0, 0.5, 2.0), np.random.default_rng(0)
    )
    walk.step(lambda z, _: np.ones(len(z), np.int64), left=10)
    assert walk.radius.tolist() == [0.5, 0.5, 0.0, 0.0]


def test_truncation_levels_what_a_service_does_not_show() -> None:
    p = np.array([[0.5, 0.3, 0.15, 0.05], [1.0, 0.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        found = truncated(np.log(p).astype(np.float32), 2)
    expected = np.log([0.5, 0.3, 0.1, 0.1])
    np.testing.assert_allclose(found[0], expected - expected.mean(), rtol=1e-5)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(
        truncated(np.log(p[:1]).astype(np.float32), 4)[0], np.log(p[0]) - np.log(p[0]).mean(), rtol=1e-5
    )


def test_prototypes_of_classes_that_the_model_never_gives() -> None:
    scores = np.array([[3, -1, -2], [2, -1, -1], [1, 0, -1]], np.float32)
    found = prototypes(scores, np.array([0, 1, 0]), 2, 0.3, np.random.default_rng(0)).reshape(3, 2, 3)
    np.testing.assert_array_equal(found[0], [scores[0]] * 2)
    np.testing.assert_array_equal(found[1], [scores[1]] * 2)
    np.testing.assert_allclose(found[2], [[-1, -1, 2]] * 2)


def test_a_generator_learns_its_records(world: World) -> None:
    trained = train_autoencoder(world.pool, AutoencoderRecipe(300, 8, 128), STREAMS.child("vae"))
    made = trained.decoder(torch.from_numpy(trained.codes)).flatten(1).numpy()
    rows = vectors(world.pool)
    assert ((made - rows) ** 2).mean() < 0.6 * rows.var(axis=0).mean()
    assert trained.loss[1] < trained.loss[0]
    assert 0.5 < trained.codes.std(axis=0).max() < 2


SMALLEST = {
    "constant": np.full((12, 1, 3, 3), 0.5, np.float32),
    "one pixel": np.linspace(0, 1, 12, dtype=np.float32).reshape(12, 1, 1, 1),
    "two records": np.linspace(0, 1, 18, dtype=np.float32).reshape(2, 1, 3, 3),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
@pytest.mark.parametrize("x", SMALLEST.values(), ids=SMALLEST)
def test_the_smallest_pools_give_valid_records(attack: ModelToData, x: npt.NDArray[np.float32]) -> None:
    schema = ImageSchema(classes=("a", "b", "unseen"), channels=1, height=x.shape[2], width=x.shape[3])
    pool = Dataset(x, np.arange(len(x)) % 2, schema, np.arange(len(x)))
    quick = attack.model_copy(update={"generator_steps": 5})

    def formula(batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten(1).sum(dim=1, keepdim=True) * torch.tensor([[1.0, -1.0, 0.0]])

    found = quick.run(service_of(pool, formula, quick), bench_of(pool)).result
    assert modality.of(schema).problems(found) == []
    assert found.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
