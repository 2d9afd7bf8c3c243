"""Gradient inversion and its baseline: it climbs, stays plausible, keeps its budget and its seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from m2d_world import STREAMS, TRAINING, World, breast_cancer, letters

from threatloop import modality
from threatloop.algorithms.class_prior import class_means, estimate
from threatloop.algorithms.inversion import Ascent, Climb, Space, margins
from threatloop.algorithms.record_features import vectors
from threatloop.attacks.model_to_data.inversion import GradientInversion
from threatloop.attacks.model_to_data.prior_guess import PriorGuess
from threatloop.core.access import BLACK_BOX, Capability
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, InputError, NotAssessable
from threatloop.core.schema import Column, TabularSchema
from threatloop.metrics.inversion import Inversion
from threatloop.models.responder import local_service

GRADIENTS = frozenset({Capability.GRADIENTS})


def invert(world: World, attack: GradientInversion, limit: int | None = None) -> tuple[Dataset, Bench, int]:
    service, bench = local_service(world.victim, GRADIENTS, limit), world.bench(Resource.QUERY_POOL)
    return attack.run(service, bench).result, bench, service.ledger.spent


def readings(world: World, outcome: Dataset) -> dict[str, float]:
    graded = Inversion().grade(world.case(outcome, GradientInversion()))
    return {r.metric: r.value for r in graded.readings if r.value is not None}


def test_the_loss_falls_and_the_model_grows_more_confident(world: World) -> None:
    recovered, bench, asked = invert(world, GradientInversion())
    assert bench.progress.notes["loss_last"] < bench.progress.notes["loss_first"] - 2
    assert asked == 10 * 4 * 3 * (100 + 2)
    assert recovered.y.tolist() == np.repeat(np.arange(10), 4).tolist()
    assert (recovered.ids == -1).all()
    assert modality.of(recovered.schema).problems(recovered) == []
    answers = local_service(world.victim).log_probs(recovered.x)
    assert (answers.argmax(1) == recovered.y).all()


def test_it_beats_the_attackers_class_means_and_wide_random_starts(world: World) -> None:
    guess = PriorGuess().run(local_service(world.victim, BLACK_BOX), world.bench(Resource.QUERY_POOL)).result
    start = modality.of(world.pool.schema).start_points(world.pool, guess.y, np.random.default_rng(0))
    found, baseline, nothing = (
        readings(world, data) for data in (invert(world, GradientInversion())[0], guess, guess.with_x(start))
    )
    assert found["inversion"] > baseline["inversion"] + 0.02
    assert abs(nothing["inversion"]) < 0.1
    assert nothing["inversion.accuracy"] < 0.5
    assert found["inversion.accuracy"] > 0.9


def test_more_steps_and_restarts_climb_higher(world: World) -> None:
    few, many = (
        invert(world, GradientInversion(steps=steps, restarts=restarts, smoothing=0))[1].progress.notes["loss_last"]
        for steps, restarts in ((2, 1), (100, 3))
    )
    assert many < few - 0.5


def test_the_same_streams_give_the_same_records_and_others_do_not(world: World) -> None:
    attack = GradientInversion(steps=10)
    first, again = (invert(world, attack)[0] for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    other = attack.run(local_service(world.victim), world.bench(Resource.QUERY_POOL, role="other")).result
    assert not np.array_equal(first.x, other.x)


def test_a_small_budget_makes_fewer_restarts_and_a_smaller_one_keeps_the_best_so_far(world: World) -> None:
    attack = GradientInversion(steps=30)
    _, _, asked = invert(world, attack, limit=2 * 40 * 32)
    assert asked == 2 * 40 * 32
    service, bench = local_service(world.victim, GRADIENTS, 40 * 25), world.bench(Resource.QUERY_POOL)
    outcome = attack.run(service, bench)
    assert outcome.stop_reason == "query budget spent"
    assert len(outcome.result) == 40
    assert readings(world, outcome.result)["inversion.accuracy"] > 0.8
    with pytest.raises(NotAssessable, match="budget"):
        invert(world, attack, limit=39)


def test_without_gradients_it_is_refused_and_the_baseline_asks_nothing(world: World) -> None:
    with pytest.raises(AccessError, match="gradients"):
        GradientInversion().run(local_service(world.victim, BLACK_BOX), world.bench(Resource.QUERY_POOL))
    service = local_service(world.victim, BLACK_BOX, limit=0)
    guess = PriorGuess(per_class=2).run(service, world.bench(Resource.QUERY_POOL)).result
    np.testing.assert_allclose(vectors(guess)[::2], class_means(world.pool), atol=1e-6)


def test_text_is_not_assessed_with_the_reason(world: World) -> None:
    pool = letters(50, np.random.default_rng(0))
    bench = Bench(STREAMS, {Resource.QUERY_POOL: pool})
    for attack in (GradientInversion(), PriorGuess()):
        with pytest.raises(NotAssessable, match="small steps"):
            attack.run(local_service(world.victim), bench)


def test_a_linear_model_is_climbed_to_the_edge_of_the_ball() -> None:
    """On a linear model the best record in a ball lies in the direction of the gradient, in whitened coordinates."""
    rng = np.random.default_rng(0)
    columns = tuple(Column(name=f"c{i}") for i in range(4))
    x = (rng.normal(size=(400, 4)) * [1, 5, 0.2, 2] @ np.linalg.qr(rng.normal(size=(4, 4)))[0]).astype(np.float32)
    schema = TabularSchema(classes=("no", "yes"), columns=columns)
    pool = Dataset(x, rng.integers(2, size=400), schema, np.arange(400))
    weight = torch.tensor([[0.0] * 4, [0.3, -0.2, 0.5, 0.1]])
    prior = estimate(pool)
    labels = np.ones(3, np.int64)
    space, ascent = Space.of_records(prior, (4,)), Ascent(150, 0.3, 0.5, 0.0)
    climb = Climb(lambda batch: batch @ weight.T, space, labels, x[:3], ascent, torch.Generator())
    for _ in range(150):
        climb.step()
    z = prior.coordinates(climb.records(), labels)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 0.5 * 4**0.5, rtol=1e-2)
    gradient = prior.basis @ weight[1].numpy()
    for row in z:
        assert row @ gradient / np.linalg.norm(row) / np.linalg.norm(gradient) > 0.99


def test_margins_are_the_log_odds_of_the_label() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [40.0, 0.0, 0.0]])
    p = logits.double().softmax(1)
    found = margins(logits.double(), torch.tensor([1, 0]))
    np.testing.assert_allclose(found[0], torch.log(p[0, 1] / (1 - p[0, 1])), rtol=1e-9)
    assert float(found[1]) == pytest.approx(40 - np.log(2))


def test_the_prior_whitens_and_reconstructs(world: World) -> None:
    prior, pool = estimate(world.pool), world.pool
    z = prior.coordinates(vectors(pool), pool.y)
    assert np.abs(np.cov(z.T) - np.diag(np.cov(z.T).diagonal())).max() < 0.05
    assert 0.5 < z.std() < 1.1
    np.testing.assert_allclose(prior.means[pool.y] + z @ prior.basis, vectors(pool), atol=1e-3)


def test_the_prior_of_wide_records_uses_the_small_side_and_of_few_records_says_so() -> None:
    rng = np.random.default_rng(0)
    columns = tuple(Column(name=f"c{i}") for i in range(50))
    schema = TabularSchema(classes=("a", "b", "unseen"), columns=columns)
    pool = Dataset(rng.normal(size=(12, 50)).astype(np.float32), np.arange(12) % 2, schema, np.arange(12))
    prior = estimate(pool)
    assert prior.basis.shape[0] == 10  # twelve records less two class means
    np.testing.assert_allclose(prior.whitening @ prior.basis.T, np.eye(10), atol=1e-4)
    np.testing.assert_allclose(prior.means[2], vectors(pool).mean(0), atol=1e-6)
    with pytest.raises(InputError, match="at least 2"):
        estimate(pool.take([0]))


def test_tables_with_categories_give_valid_rows() -> None:
    data = breast_cancer().take(slice(0, 200))
    category = Column(name="site", kind="categorical", categories=("left", "right", "both"))
    columns = (*data.schema.columns[:5], category)  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    x = np.concatenate([data.x[:, :5], rng.integers(3, size=(200, 1)).astype(np.float32)], axis=1)
    table = Dataset(x, data.y, TabularSchema(classes=data.schema.classes, columns=columns), data.ids)
    recipe = TRAINING.recipe.model_copy(update={"learning_rate": 0.01})
    victim = TRAINING.fit(table, STREAMS.child("table"), recipe=recipe)
    bench: Any = Bench(STREAMS, {Resource.QUERY_POOL: table})
    recovered = GradientInversion(steps=60).run(local_service(victim), bench).result
    assert modality.of(table.schema).problems(recovered) == []
    assert (local_service(victim).log_probs(recovered.x).argmax(1) == recovered.y).all()
