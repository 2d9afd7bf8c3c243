"""Property inference: a skewed victim is told, a property without effect is not; worlds are drawn fairly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from attribute_world import table
from m2d_world import digits
from scipy.stats import norm

from threatloop.algorithms.distribution_tests import Compared, divergence_test, meta_classifier
from threatloop.algorithms.properties import Property, draw_world, world_size
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.model_to_data.property_guess import PropertyGuess
from threatloop.attacks.model_to_data.property_inference import PropertyInference
from threatloop.core.access import BLACK_BOX
from threatloop.core.assets import Architecture, Dataset, Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.metrics.property_inference import PropertyInferred
from threatloop.models.responder import local_service

TRAINING = RecipeTraining(Architecture(name="mlp", parameters={"hidden": [32]}), Recipe(epochs=10))


def graded(data: Dataset, probe: PropertyInference, seed: int, world: int, limit: int | None = None) -> float:
    """What the metric says of one victim in one world."""
    streams = Streams(seed, ("property",))
    shuffled = data.take(streams.numpy("roles").permutation(len(data)))
    own, pool = shuffled.take(slice(0, len(data) // 2)), shuffled.take(slice(len(data) // 2, None))
    skewed = probe.skew(own, world, streams.numpy("skew"))
    service = local_service(TRAINING.fit(skewed, streams.child("victim")), BLACK_BOX, limit)
    bench = Bench(streams, {Resource.QUERY_POOL: pool, Resource.LIFECYCLE: TRAINING})
    outcome = probe.run(service, bench).result
    assert limit is None or service.ledger.spent <= limit
    case = Case({"outcome": outcome, "own": own, "skewed": skewed}, probe, streams)
    value = PropertyInferred().grade(case).readings[0].value
    assert value is not None
    return value


@pytest.mark.parametrize("method", ["best", "meta", "kl"])
def test_the_share_of_a_class_is_told_in_both_worlds(method: str) -> None:
    probe = PropertyInference.model_validate({"method": method, "models": 6, "label": 3})
    found = [graded(digits(), probe, seed, world) for seed in (0, 1) for world in (0, 1)]
    assert np.mean(found) > 0.75


def test_a_property_without_effect_is_a_coin() -> None:
    probe = PropertyInference(column="v5", models=5)
    found = [graded(table(400, seed, uses=True), probe, seed, seed % 2) for seed in range(12)]
    mean, error = float(np.mean(found)), float(np.std(found)) / 12**0.5
    assert abs(mean - 0.5) < 3 * error + 0.02


def test_the_budget_bounds_the_queries() -> None:
    assert 0 <= graded(digits(), PropertyInference(models=2), 0, 0, limit=7) <= 1
    with pytest.raises(NotAssessable, match="budget"):
        graded(digits(), PropertyInference(models=2), 0, 0, limit=0)


def test_a_coin_is_worth_exactly_half_in_both_worlds() -> None:
    probe, data = PropertyInference(), digits()
    guess = PropertyGuess().examine(local_service(TRAINING.fit(data.take(slice(0, 50)), Streams(0))), Bench(Streams(0)))
    for world in (0, 1):
        skewed = probe.skew(data, world, np.random.default_rng(0))
        case = Case({"outcome": guess, "own": data, "skewed": skewed}, probe, Streams(0))
        assert [r.value for r in PropertyInferred().grade(case).readings] == [0.5, 0.0]
        sure = Evidence({"world": np.array([float(world)])})
        case = Case({"outcome": sure, "own": data, "skewed": skewed}, probe, Streams(0))
        assert [r.value for r in PropertyInferred().grade(case).readings] == [1.0, 1.0]


@pytest.mark.parametrize("column", [None, "v0", "colour"])
def test_worlds_have_the_shares_and_equally_many_records(column: str | None) -> None:
    data, probe = table(300, 0, uses=False), PropertyInference(column=column, low=0.2, high=0.6, size=1.0)
    worlds = [probe.skew(data, world, np.random.default_rng(1)) for world in (0, 1)]
    assert len(worlds[0]) == len(worlds[1]) > 100
    for skewed, share in zip(worlds, (0.2, 0.6), strict=True):
        assert probe.holds(skewed, data).mean() == pytest.approx(share, abs=0.01)
        assert len(np.unique(skewed.ids)) == len(skewed)


def test_the_largest_world_is_the_largest() -> None:
    for having in range(8, 40):
        holds = np.arange(60) < having
        size = world_size(holds, 0.3, 0.7)
        for share in (0.3, 0.7):
            assert len(draw_world(holds, share, size, np.random.default_rng(0))) == size
        assert round(0.7 * (size + 2)) > having or (size + 2) - round(0.3 * (size + 2)) > 60 - having
    with pytest.raises(NotAssessable, match="too few"):
        world_size(np.arange(60) < 3, 0.3, 0.7)


def planted(effect: float, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    rng, world = np.random.default_rng(seed), np.arange(20) % 2 == 1
    odds = effect * (2 * world[:, None] - 1) + rng.normal(size=(20, 30))
    own = effect + rng.normal(size=30)
    logs = [np.stack([-np.logaddexp(0, -o), -np.logaddexp(0, o)], axis=-1) for o in (odds, own)]
    return logs[0], logs[1], world


@pytest.mark.parametrize("test", [meta_classifier, divergence_test])
def test_tests_find_a_planted_shift_and_no_more(test: object) -> None:
    assert callable(test)
    told = [test(*planted(0.8, seed)).probability(planted(0.8, seed)[2]) for seed in range(5)]
    assert min(told) > 0.9
    blind = [test(*planted(0.0, seed)).probability(planted(0.0, seed)[2]) for seed in range(30)]
    assert abs(float(np.mean(blind)) - 0.5) < 0.15


def test_left_out_scores_are_those_of_a_regression_without_the_model() -> None:
    shadows, victim, world = planted(0.5, 3)
    found = meta_classifier(shadows, victim, world)
    k, errors = 7, []
    rows = (shadows - shadows.mean(axis=2, keepdims=True)).reshape(20, -1)
    rows = rows - rows.mean(axis=0)
    scaled = np.column_stack([rows / np.sqrt((rows**2).sum() / 20), np.ones(20)])
    keep = np.arange(20) != k
    others, target = scaled[keep], np.where(world, 1.0, -1.0)[keep]
    for ridge in (0.01, 0.1, 1.0, 10.0):
        weights = np.linalg.solve(others.T @ others + ridge * np.eye(scaled.shape[1]), others.T @ target)
        errors.append(abs(float(scaled[k] @ weights) - found.shadows[k]))
    assert min(errors) < 1e-6


def test_a_probability_is_that_of_two_bells() -> None:
    world = np.arange(2000) % 2 == 1
    scores = norm.ppf((np.arange(1000) + 0.5) / 1000).repeat(2) + 2.0 * world
    assert Compared(scores, 1.0).probability(world) == pytest.approx(0.5, abs=1e-3)
    assert Compared(-scores, 1.0).probability(world) == 0.5
    # Two means 2 apart and a spread of 2: one unit above the middle is exp(1 · 2 / 4) to 1.
    assert Compared(scores, 2.0).probability(world) == pytest.approx(np.exp(0.5) / (1 + np.exp(0.5)), abs=0.01)


def test_problems_name_what_is_wrong() -> None:
    schema = table(5, 0, uses=False).schema
    assert "low" in PropertyInference(low=0.7, high=0.3).problems(schema, 5)[0]
    assert "label: 9" in PropertyInference(label=9).problems(schema, 5)[0]
    assert "none called" in Property(0, "v9", None).problems(schema)[0]
    assert "category" in Property(0, "colour", "pink").problems(schema)[0]
    assert PropertyInference(column="colour", category="blue").problems(schema, 5) == []
