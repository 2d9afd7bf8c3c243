"""Every membership attack on scores: memorised labels are found, a stranger shows nothing, budgets hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from m2d_world import TRAINING, World, build, digits
from test_membership_attacks import area, examine, scores

from threatloop.algorithms.attack_classifier import Learner, features, learned, signs
from threatloop.algorithms.shadow_answers import shadow_values
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.model_to_data.attack_model import AttackModel
from threatloop.attacks.model_to_data.confidence_threshold import ConfidenceThreshold
from threatloop.attacks.model_to_data.entropy_threshold import EntropyThreshold
from threatloop.attacks.model_to_data.lira import Lira
from threatloop.attacks.model_to_data.modified_entropy_threshold import ModifiedEntropyThreshold
from threatloop.attacks.model_to_data.rmia import Rmia
from threatloop.core.access import BLACK_BOX
from threatloop.core.attack import Probe
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.models.responder import local_service
from threatloop.numerics.intervals import Interval, auc_interval

PROBES: tuple[Probe[Service], ...] = (
    ConfidenceThreshold(),
    ConfidenceThreshold(calibrated=False),
    EntropyThreshold(),
    EntropyThreshold(calibrated=False),
    ModifiedEntropyThreshold(),
    ModifiedEntropyThreshold(calibrated=False),
    Rmia(),
    Rmia(online=False),
    Rmia(online=False, a=1.0, gamma=1.0, population=50),
    AttackModel(),
    AttackModel(learner="logistic"),
    AttackModel(learner="trees"),
    Lira(views=3),
)


@pytest.fixture(scope="module")
def noisy() -> World:
    """A third of the labels mean nothing: to fit them is to memorise."""
    data = digits().take(np.random.default_rng(0).permutation(1797)[:600])
    rng, y = np.random.default_rng(1), np.array(data.y)
    wrong = rng.random(len(y)) < 0.35
    y[wrong] = rng.integers(10, size=int(wrong.sum()))
    longer = TRAINING.recipe.model_copy(update={"epochs": 100})
    return build(data.with_y(y), RecipeTraining(TRAINING.architecture, longer), shadows=8)


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: repr(p))
def test_memorised_labels_are_found(probe: Probe[Service], noisy: World) -> None:
    value, low, _ = area(probe, noisy.victim, noisy)
    assert value > 0.6
    assert low > 0.55


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: repr(p))
def test_a_model_that_never_saw_the_data_is_not(probe: Probe[Service], noisy: World) -> None:
    _, low, high = area(probe, noisy.stranger, noisy)
    assert low < 0.5 < high


def test_references_and_attack_models_beat_plain_thresholds(noisy: World) -> None:
    plain = area(EntropyThreshold(calibrated=False), noisy.victim, noisy)[0]
    label = area(ConfidenceThreshold(calibrated=False), noisy.victim, noisy)[0]
    for probe in (Rmia(), Rmia(online=False), AttackModel()):
        assert area(probe, noisy.victim, noisy)[0] > max(plain, label - 0.02)


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: repr(p))
def test_budgets_are_used_up_and_never_passed(probe: Probe[Service], noisy: World) -> None:
    for limit in (7, 200):
        service = local_service(noisy.victim, BLACK_BOX, limit)
        outcome = probe.run(service, noisy.bench(*probe.info.resources))
        assert outcome.stop_reason == "query budget spent"
        assert service.ledger.spent == limit
        assert 0 < np.isfinite(outcome.result.arrays["score"]).sum() <= limit
    with pytest.raises(NotAssessable, match="budget"):
        examine(probe, noisy.victim, noisy, limit=0)


def test_rmia_asks_candidates_and_population_once(noisy: World) -> None:
    probe, service = Rmia(population=100), local_service(noisy.victim, BLACK_BOX)
    probe.run(service, noisy.bench(*probe.info.resources))
    assert service.ledger.spent == len(noisy.candidates) + 100


def test_views_follow_the_recipe_and_are_asked_after_the_records(noisy: World) -> None:
    augmented = replace(noisy.training, recipe=noisy.training.recipe.model_copy(update={"augment": "shift"}))
    world = replace(noisy, training=augmented)
    n = len(world.candidates)
    for probe, given, queries in ((Lira(), noisy, n), (Lira(), world, 5 * n), (Lira(views=2), world, 2 * n)):
        service = local_service(noisy.victim, BLACK_BOX)
        probe.run(service, given.bench(*probe.info.resources))
        assert service.ledger.spent == queries
    # With a budget for one view, more views change nothing.
    np.testing.assert_array_equal(scores(Lira(views=3), noisy.victim, noisy, n), scores(Lira(), noisy.victim, noisy))


def test_an_attack_model_finds_nothing_in_answers_that_training_did_not_change(noisy: World) -> None:
    """Answers of one shadow model are alike; to know the model must not pass for knowing the members."""
    rng = np.random.default_rng(0)
    masks = np.argsort(rng.random((8, 300)), axis=0) < 4
    rows = rng.normal(size=(8, 300, 6)) + 3 * rng.normal(size=(8, 1, 6))
    model = learned(rows, masks, np.zeros(6, np.int64), "best", rng)
    inside = auc_interval(model.decision_function(rng.normal(size=(2000, 6))), rng.random(2000) < 0.5)
    assert isinstance(inside, Interval)
    assert inside.low < 0.5 < inside.high
    found = features(noisy.shadows.log_probs[0], noisy.candidates)
    assert np.isfinite(found).all()
    assert found.shape == (len(noisy.candidates), 6 + 10 + 10)


def test_surer_answers_are_never_less_member_like(noisy: World) -> None:
    """Also beyond what shadow models show: else a leak that is larger than theirs would be missed."""
    rows = shadow_values(noisy.shadows, noisy.candidates, features)
    directions = signs(rows.shape[2], 10)
    learners: tuple[Learner, ...] = ("logistic", "trees")
    for learner in learners:
        model = learned(rows, noisy.shadows.masks, directions, learner, np.random.default_rng(0))
        before, after = rows[0], rows[0] + directions * np.random.default_rng(1).exponential(2.0, rows[0].shape)
        assert (model.decision_function(after) >= model.decision_function(before) - 1e-9).all()
