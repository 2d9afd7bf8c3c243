"""Thieves who choose or make their queries: what they choose, what they spend, and what is left without the victim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stealing_world import world

from threatloop.attacks.model_to_model.active_surrogate import ActiveSurrogate
from threatloop.attacks.model_to_model.active_theft import ActiveTheft
from threatloop.attacks.model_to_model.data_free_theft import DataFreeTheft
from threatloop.attacks.model_to_model.jacobian_augmentation import JacobianAugmentation
from threatloop.attacks.model_to_model.jacobian_surrogate import JacobianSurrogate
from threatloop.attacks.model_to_model.knockoff import Knockoff
from threatloop.attacks.model_to_model.majority_clone import MajorityClone
from threatloop.attacks.model_to_model.surrogate import Surrogate
from threatloop.core.access import BLACK_BOX, Capability, Ledger
from threatloop.core.assets import Model
from threatloop.core.attack import ModelToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, NotAssessable
from threatloop.core.schema import Column, TabularSchema
from threatloop.core.service import Service
from threatloop.modality import of
from threatloop.models.responder import local_service

Floats = npt.NDArray[np.float32]
QUICK: dict[str, Any] = {"queries": 120, "steps": 60}
THIEVES: list[ModelToModel] = [
    ActiveTheft(**QUICK, rounds=3),
    JacobianAugmentation(**QUICK, seeds=50),
    DataFreeTheft(queries=700, steps=20, generator=0.6, rounds=3),
    DataFreeTheft(queries=300, steps=20, generator=0.6, rounds=2, answers="hard"),
]


@dataclass
class Function:
    """A victim that is a known function of the records, and remembers what it was asked."""

    answer: Callable[[Floats], Floats]
    asked: list[npt.NDArray[Any]] = field(default_factory=list)

    def log_probs(self, x: npt.NDArray[Any]) -> Floats:
        self.asked.append(x)
        schema = world().pool.schema
        return self.answer(np.asarray(of(schema).encode(x, schema), dtype=np.float32))

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError

    def service(self, limit: int | None = None) -> Service:
        return Service(self, world().pool.schema, BLACK_BOX, Ledger(limit))


def victim(limit: int | None = None) -> Service:
    return local_service(world().victim, grants=BLACK_BOX, limit=limit)


def halves(x: Floats) -> Floats:
    """Class 0 where the upper half is brighter, else class 1; a function that no one's labels tell."""
    gap = 20 * (x[:, :, :4].mean(axis=(1, 2, 3)) - x[:, :, 4:].mean(axis=(1, 2, 3)))
    scores = np.full((len(x), 10), -8.0, np.float32)
    scores[:, 0], scores[:, 1] = gap, -gap
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), dtype=np.float32)


def constant(x: Floats) -> Floats:
    return np.full((len(x), 10), np.log(0.1), np.float32)


def agreement(attack: ModelToModel, service: Service, bench: Bench | None = None) -> float:
    w = world()
    clone: Service = attack.run(service, bench or w.bench()).result
    return float((clone.labels(w.test.x) == service.labels(w.test.x)).mean())


def no_data() -> Bench:
    held = {Resource.LIFECYCLE: world().training}
    return Bench(world().streams.child("attack"), held)


def test_chosen_queries_steal_more_than_random_ones() -> None:
    same = {"queries": 100, "steps": 300, "answers": "hard"}
    chosen, random = (agreement(a, victim()) for a in (ActiveTheft(**same), Knockoff(**same)))
    assert chosen > random + 0.005


@pytest.mark.parametrize("strategy", ["uncertainty", "kcenter", "both"])
def test_no_record_is_asked_twice_and_the_first_round_is_the_random_thief(strategy: Any) -> None:
    victims = Function(halves), Function(halves)
    ActiveTheft(**QUICK, rounds=4, strategy=strategy).run(victims[0].service(), world().bench())
    Knockoff(**QUICK).run(victims[1].service(), world().bench())
    chosen, random = (np.concatenate(one.asked) for one in victims)
    assert len(np.unique(chosen.reshape(120, -1), axis=0)) == len(np.unique(random.reshape(120, -1), axis=0))
    assert np.array_equal(chosen[:30], random[:30])
    assert not np.array_equal(chosen, random)


@pytest.mark.parametrize("queries", [500, 560])
def test_with_nothing_to_choose_from_the_active_thief_is_the_random_one(queries: int) -> None:
    victims = Function(halves), Function(halves)
    for attack, asked in zip((ActiveTheft, Knockoff), victims, strict=True):
        attack(queries=queries, steps=5).run(asked.service(), world().bench())
    one, other = (np.concatenate(v.asked).reshape(queries, -1) for v in victims)
    assert np.array_equal(np.sort(one, axis=0), np.sort(other, axis=0))


def test_with_one_round_the_active_surrogate_is_the_surrogate() -> None:
    one, other = (
        attack.run(victim(), world().bench()).result.model().digest
        for attack in (ActiveSurrogate(**QUICK, rounds=1), Surrogate(**QUICK))
    )
    assert one == other


def test_seeds_grow_by_one_step_within_bounds() -> None:
    asked = Function(halves)
    attack = JacobianAugmentation(queries=90, seeds=30, steps=20, step=0.2, direction="self")
    attack.run(asked.service(), world().bench())
    assert [len(x) for x in asked.asked] == [30, 30, 30]
    schema = world().pool.schema
    seeds, moved = (np.asarray(of(schema).encode(x, schema)).reshape(30, -1) for x in asked.asked[:2])
    gaps = np.abs(moved[:, None] - seeds[None]).max(axis=2)
    assert gaps.min(axis=1).max() <= 0.2 + 1e-6
    assert len(set(gaps.argmin(axis=1))) == 30
    assert gaps.min(axis=1).min() > 0
    assert 0 <= moved.min() <= moved.max() <= 1


def test_synthetic_records_are_worth_their_queries_and_need_the_victim() -> None:
    same = {"queries": 300, "steps": 400, "answers": "hard"}
    grown = agreement(JacobianAugmentation(**same), victim())
    assert grown > agreement(Knockoff(**(same | {"queries": 100})), victim()) + 0.01
    assert grown > agreement(JacobianSurrogate(queries=300, steps=400), victim()) + 0.02


@pytest.mark.parametrize(
    "thief",
    [ActiveTheft(queries=300, steps=200, rounds=2), JacobianAugmentation(queries=300, steps=200)],
    ids=["active", "jbda"],
)
def test_a_known_function_is_cloned_and_constant_answers_teach_nothing(thief: ModelToModel) -> None:
    known = agreement(thief, Function(halves).service())
    own = agreement(thief.as_baseline(), Function(halves).service())  # type: ignore[arg-type]
    assert known > 0.9
    assert own < 0.4
    w = world()
    clone = thief.run(Function(constant).service(), w.bench()).result
    assert np.exp(clone.log_probs(w.test.x)).max() < 0.2


def test_a_known_function_is_cloned_without_data() -> None:
    thief = DataFreeTheft(queries=1000, steps=200, rounds=2, generator=0.3)
    assert agreement(thief, Function(halves).service(), no_data()) > 0.9
    assert agreement(thief.as_baseline(), Function(halves).service()) < 0.9  # type: ignore[arg-type]


def test_the_guess_without_data_is_the_commonest_class() -> None:
    w = world()
    tilted = w.pool.take(np.concatenate([np.flatnonzero(w.pool.y == 3), np.arange(50)]))
    clone = MajorityClone().run(victim(limit=0), w.bench(query_pool=tilted)).result
    assert set(clone.labels(w.test.x)) == {3}


@pytest.mark.parametrize("thief", THIEVES, ids=lambda t: f"{type(t).__name__}-{t.answers}")
def test_every_record_that_is_asked_is_counted_and_none_is_asked_beyond_the_budget(thief: Any) -> None:
    asked = Function(halves)
    service = asked.service()
    assert thief.run(service, world().bench()).stop_reason == "finished"
    assert service.ledger.spent == sum(map(len, asked.asked)) == thief.queries
    limited = Function(halves)
    outcome = thief.run(limited.service(limit=77), world().bench())
    assert outcome.stop_reason == "query budget spent"
    assert sum(map(len, limited.asked)) == 77
    with pytest.raises(NotAssessable, match="budget"):
        thief.run(limited.service(limit=0), world().bench())


@pytest.mark.parametrize("thief", THIEVES[:3], ids=lambda t: type(t).__name__)
def test_the_clone_is_a_function_of_the_streams(thief: ModelToModel) -> None:
    first, again = (thief.run(victim(), world().bench()).result.model().digest for _ in range(2))
    assert first == again


@pytest.mark.parametrize("thief", THIEVES, ids=lambda t: f"{type(t).__name__}-{t.answers}")
def test_the_other_kind_of_answer_is_not_needed(thief: Any) -> None:
    other = BLACK_BOX - thief.required()
    assert len(other) == 1
    with pytest.raises(AccessError):
        thief.run(local_service(world().victim, grants=other), world().bench())


def test_both_ends_of_a_difference_are_asked_and_one_is_kept() -> None:
    from threatloop.algorithms.data_free import BATCH, Synthesis

    asked = Function(halves)
    synthesis = Synthesis.start(world().pool.schema, world().streams)
    kept, answers = synthesis.adversarial_step(world().training.module(world().victim), asked.service())
    assert [len(x) for x in asked.asked] == [BATCH, BATCH]
    assert np.array_equal(asked.asked[0], kept.x)
    assert answers.shape == (BATCH, 10)
    assert 0 < np.abs(asked.asked[1] - kept.x).max() <= 0.011


def test_differences_follow_the_victims_gradient() -> None:
    """Averaged over directions, the estimate is the gradient of the signed logits, known here by formula."""
    from threatloop.algorithms.data_free import Synthesis

    service = Function(halves).service()
    synthesis = Synthesis.start(world().pool.schema, world().streams)
    here = np.full((2000, 1, 8, 8), 0.5, np.float32)
    signs = np.zeros((2000, 10), np.float32)
    signs[:, 0] = 1
    estimate = synthesis._difference(here, service.log_probs(here.copy()), signs, service).mean(axis=0)[0]
    rows = np.repeat([1.0, -1.0], 4)[:, None] * np.ones(8)
    assert np.corrcoef(estimate.ravel(), rows.ravel())[0, 1] > 0.9
    # Of class 0: the score rises by 20/32 per pixel of the upper half; the mean over classes does not move.
    assert np.abs(estimate * rows).mean() == pytest.approx(20 / 32, rel=0.3)


def test_a_table_without_bounds_is_refused_before_compute() -> None:
    columns = (Column(name="a", low=0, high=1), Column(name="b"))
    schema = TabularSchema(classes=("x", "y"), columns=columns)
    (line,) = DataFreeTheft().problems(schema, 100)
    assert "'b'" in line
    assert DataFreeTheft().problems(world().pool.schema, 100) == []


def test_the_data_free_thief_declares_no_pool() -> None:
    assert DataFreeTheft.info.resources == {Resource.LIFECYCLE}
    assert Capability.GRADIENTS not in DataFreeTheft.info.needs
