"""Architecture inference: planted ones are told apart, answers that fit none are shared out; and how it is graded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stealing_world import world

from threatloop.algorithms.answer_style import styles
from threatloop.algorithms.candidates import USUAL, nearest, written
from threatloop.algorithms.meta_classifier import posterior
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.model_to_model.architecture_guess import ArchitectureGuess
from threatloop.attacks.model_to_model.architecture_inference import ArchitectureInference
from threatloop.core.access import BLACK_BOX, Capability, Ledger
from threatloop.core.assets import Architecture, Evidence, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.metrics.architecture_inference import ArchitectureInference as Grade
from threatloop.models.responder import local_service

SHALLOW = Architecture(name="mlp", parameters={"hidden": (64,)})
CNN = Architecture(name="cnn", parameters={"channels": (8,), "hidden": 32})
PAIR = ArchitectureInference(candidates=(SHALLOW, CNN), models=3, queries=200)
TRAINING = RecipeTraining(SHALLOW, Recipe(epochs=10))


class Constant:
    """A victim that says the same of every record."""

    def log_probs(self, x: Any) -> Any:
        return np.full((len(x), 10), np.log(0.1), np.float32)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError


def planted(architecture: Architecture, limit: int | None = None) -> Service:
    w = world()
    model = TRAINING.fit(w.members, w.streams.child("planted"), architecture=architecture)
    return local_service(model, grants=BLACK_BOX, limit=limit)


def probability(attack: ArchitectureInference, service: Service) -> Any:
    return attack.run(service, world().bench(lifecycle=TRAINING)).result.arrays["probability"]


def test_a_shallow_perceptron_is_told_from_a_convolutional_network() -> None:
    for position, truth in enumerate(PAIR.candidates):
        found = probability(PAIR, planted(truth))
        assert found.sum() == pytest.approx(1)
        assert found[position] > 0.8


def test_labels_alone_are_asked_for_and_give_probabilities() -> None:
    service = local_service(planted(CNN).responder.model(), grants=frozenset({Capability.LABELS}))
    found = probability(PAIR.model_copy(update={"answers": "hard"}), service)
    assert found.sum() == pytest.approx(1)
    assert service.ledger.spent == 200


def test_constant_answers_fit_no_candidate_and_are_shared_out() -> None:
    service = Service(Constant(), world().pool.schema, BLACK_BOX, Ledger(None))
    found = probability(PAIR, service)
    assert np.abs(found - 0.5).max() < 0.2
    assert service.ledger.spent == 200


def test_a_budget_that_ends_early_still_gives_probabilities() -> None:
    service = planted(SHALLOW, limit=60)
    outcome = PAIR.run(service, world().bench(lifecycle=TRAINING))
    assert outcome.stop_reason == "query budget spent"
    assert service.ledger.spent == 60
    assert outcome.result.arrays["probability"].sum() == pytest.approx(1)
    with pytest.raises(NotAssessable, match="budget"):
        PAIR.run(planted(SHALLOW, limit=0), world().bench(lifecycle=TRAINING))


def test_only_the_configured_answers_are_needed() -> None:
    assert PAIR.required() == {Capability.SCORES}
    assert PAIR.model_copy(update={"answers": "hard"}).required() == {Capability.LABELS}


def test_a_candidate_that_cannot_read_the_records_is_refused() -> None:
    text = ArchitectureInference(candidates=(SHALLOW, Architecture(name="gpt")))
    with pytest.raises(InputError, match="does not read image records"):
        text.run(planted(SHALLOW), world().bench(lifecycle=TRAINING))
    (line,) = ArchitectureInference(candidates=(SHALLOW,)).problems(world().pool.schema, 10)
    assert "at least two" in line


def test_near_groups_win_and_far_from_all_nobody_does() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 8)
    examples = np.eye(3)[groups] * 6 + rng.standard_normal((24, 3))
    for group in range(3):
        assert posterior(examples, groups, 6 * np.eye(3)[group], 3)[group] > 0.9
    assert np.abs(posterior(examples, groups, np.full(3, 1e6), 3) - 1 / 3).max() < 0.05
    assert posterior(np.ones((6, 2)), np.repeat(np.arange(3), 2), np.ones(2), 3).tolist() == pytest.approx([1 / 3] * 3)


def test_noise_is_no_evidence() -> None:
    """Over many draws in which groups differ in nothing, the true one gets its share and no more."""
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(4), 6)
    given = [posterior(rng.standard_normal((24, 10)), groups, rng.standard_normal(10), 4)[0] for _ in range(300)]
    assert np.mean(given) == pytest.approx(0.25, abs=0.03)


def test_a_model_is_left_out_of_its_own_average() -> None:
    """Two models that differ are each as far from their group as they are from each other."""
    log_probs = np.log(np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.5, 0.5]]], np.float32))
    found = styles(log_probs, np.array([0, 0, -1]), (np.array([True]), np.array([False])))
    assert np.exp(found[:2, 0]) == pytest.approx([0.7, 0.7], abs=1e-6)
    assert np.isfinite(found).all()


def graded(truth: Architecture, candidates: tuple[Architecture, ...], given: list[float]) -> dict[str, float | None]:
    outcome = Evidence({"probability": np.array(given)}, {"candidates": written(candidates)})
    victim = Model(truth, world().pool.schema, {})
    case = Case({"outcome": outcome, "victim": victim}, PAIR, Streams(0))
    readings = Grade().grade(case).readings
    assert all(reading.value is not None or "no candidate is a" in reading.undefined for reading in readings)
    return {reading.metric.removeprefix("architecture_inference"): reading.value for reading in readings}


def test_the_truth_or_its_nearest_relative_is_graded() -> None:
    given = [0.1, 0.4, 0.1, 0.2, 0.2]
    default = Architecture(name="mlp")  # two layers of 64
    assert graded(default, USUAL, given) == {"": 0.4, ".family": pytest.approx(0.8), ".right": 1}
    deep = Architecture(name="mlp", parameters={"hidden": [32, 32, 32, 32, 32]})
    assert graded(deep, USUAL, given)[""] == 0.2
    assert graded(CNN, USUAL, [0.2] * 5) == {"": 0.2, ".family": 0.2, ".right": 0.2}
    assert set(graded(Architecture(name="resnet18"), USUAL, given).values()) == {None}


def test_an_exact_candidate_is_known_as_such() -> None:
    assert nearest(Architecture(name="mlp"), USUAL) == (1, True)
    assert nearest(CNN, USUAL) == (4, False)


def test_the_guess_is_uniform_over_the_same_candidates() -> None:
    guess = PAIR.as_baseline()
    assert isinstance(guess, ArchitectureGuess)
    evidence = guess.run(planted(SHALLOW, limit=0), world().bench()).result
    assert evidence.arrays["probability"].tolist() == [0.5, 0.5]
    assert evidence.notes["candidates"] == written(PAIR.candidates)
