"""A clone beats its matched surrogate, differs from it in the labels only, and stays within access and budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from stealing_world import world

from threatloop.algorithms.distil import Distillation, enough, one_hot, tempered
from threatloop.algorithms.queries import draw
from threatloop.attacks.model_to_model.knockoff import Knockoff
from threatloop.attacks.model_to_model.surrogate import Surrogate
from threatloop.core.access import BLACK_BOX, Capability, Ledger
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench
from threatloop.core.errors import AccessError, InputError, NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.service import Service
from threatloop.models.responder import local_service

QUICK = {"steps": 200, "queries": 300}


def victim(limit: int | None = None, grants: frozenset[Capability] = BLACK_BOX) -> Service:
    return local_service(world().victim, grants=grants, limit=limit)


def fidelity(attack: Distillation, bench: Bench | None = None) -> float:
    w = world()
    clone: Service = attack.run(victim(), bench or w.bench()).result
    return float((clone.labels(w.test.x) == victim().labels(w.test.x)).mean())


def test_soft_answers_steal_more_than_hard_ones_and_both_more_than_the_surrogate() -> None:
    soft, hard = fidelity(Knockoff(queries=500)), fidelity(Knockoff(queries=500, answers="hard"))
    surrogate = fidelity(Surrogate(queries=500))
    assert soft > max(hard, surrogate) + 0.01
    assert soft > 0.98
    assert surrogate > 0.93


def test_a_victim_that_learnt_other_labels_is_copied_and_the_surrogate_is_not() -> None:
    w = world()
    shifted = w.training.fit(w.members.with_y((w.members.y + 1) % 10), w.streams.child("victim"))
    asked = local_service(shifted)
    truth = asked.labels(w.test.x)
    stolen, own = (a.run(asked, w.bench()).result.labels(w.test.x) for a in (Knockoff(**QUICK), Surrogate(**QUICK)))
    assert (stolen == truth).mean() > 0.9
    assert (own == truth).mean() < 0.1


@dataclass
class Spy:
    """A lifecycle that records what it is asked to train on."""

    seen: list[tuple[str, tuple[str, ...], Any, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(world().training, name)

    def fit(self, data: Dataset, streams: Any, **more: Any) -> Model:
        self.seen.append((data.with_y(np.zeros(len(data))).digest, streams.path, more["recipe"], more["init"]))
        return world().training.fit(data, streams, **more)


@pytest.mark.parametrize("queries", [100, 700])
def test_clone_and_surrogate_share_everything_but_the_labels(queries: int) -> None:
    spies = []
    for attack in (Knockoff(queries=queries, steps=20), Surrogate(queries=queries, steps=20)):
        spies.append(Spy())
        attack.run(victim(), world().bench(lifecycle=spies[-1]))
    assert spies[0].seen == spies[1].seen
    assert len(spies[0].seen) == 1


def test_out_of_distribution_surrogate_is_taught_by_a_model_of_its_own() -> None:
    spies = []
    for attack in (Knockoff(queries=100, steps=20, pool="out"), Surrogate(queries=100, steps=20, pool="out")):
        spies.append(Spy())
        attack.run(victim(), world().bench(lifecycle=spies[-1]))
    assert spies[0].seen[-1] == spies[1].seen[-1]
    assert [path[-1] for _, path, _, _ in spies[1].seen] == ["teacher", "clone"]


def test_out_of_distribution_queries_steal_something() -> None:
    assert fidelity(Knockoff(queries=600, pool="out")) > 0.5


@pytest.mark.parametrize(("answers", "need"), [("soft", Capability.SCORES), ("hard", Capability.LABELS)])
def test_only_the_configured_answers_are_needed(answers: Literal["soft", "hard"], need: Capability) -> None:
    attack = Knockoff(answers=answers, steps=20, queries=50)
    assert attack.required() == {need}
    assert attack.run(victim(grants=frozenset({need})), world().bench()).stop_reason == "finished"
    other = BLACK_BOX - {need}
    with pytest.raises(AccessError, match=need):
        attack.run(victim(grants=other), world().bench())


def test_a_hard_label_thief_who_reads_scores_is_caught() -> None:
    class Cheat(Knockoff):
        def label(self, service: Service, asked: Dataset, bench: Bench) -> Any:  # noqa: ARG002
            return tempered(service.log_probs(asked.x), 1.0)

    with pytest.raises(AccessError, match="scores"):
        Cheat(answers="hard", **QUICK).run(victim(), world().bench())


def test_queries_are_counted_and_the_surrogate_asks_none() -> None:
    for attack, expected in ((Knockoff(queries=300, steps=20), 300), (Surrogate(queries=300, steps=20), 0)):
        service = victim()
        attack.run(service, world().bench())
        assert service.ledger.spent == expected


def test_a_spent_budget_yields_the_clone_of_the_answers_so_far() -> None:
    service = victim(limit=120)
    outcome = Knockoff(queries=300, steps=200).run(service, world().bench())
    assert outcome.stop_reason == "query budget spent"
    assert service.ledger.spent == 120
    same = Knockoff(queries=120, steps=200).run(victim(), world().bench())
    assert outcome.result.model().digest == same.result.model().digest


def test_no_budget_at_all_is_not_assessable() -> None:
    with pytest.raises(NotAssessable, match="nothing to ask"):
        Knockoff().run(victim(limit=0), world().bench())


def test_the_clone_is_a_function_of_the_streams() -> None:
    w, attack = world(), Knockoff(**QUICK)
    first, again = (attack.run(victim(), w.bench()).result.model().digest for _ in range(2))
    other = Bench(w.streams.child("elsewhere"), w.bench().resources)
    assert first == again != attack.run(victim(), other).result.model().digest


def test_the_owner_of_a_clone_has_full_access_to_it() -> None:
    clone = Knockoff(queries=50, steps=20).run(victim(limit=50), world().bench()).result
    assert Capability.WEIGHTS in clone.grants
    assert clone.ledger.limit is None


def test_a_second_lap_asks_about_the_recovered_records_and_forgets_nothing() -> None:
    w = world()
    first = Knockoff(queries=300, steps=400)
    clone: Model = first.run(victim(), w.bench()).result.model()
    recovered = w.members.take(w.members.y < 2)
    later = w.bench(feedback=recovered, previous=clone)
    asked: list[Any] = []
    service = Service(Recording(w.victim, asked.append), w.victim.schema, BLACK_BOX, Ledger(300))
    second: Service = first.run(service, later).result
    assert service.ledger.spent == 300
    known = {record.tobytes() for record in recovered.x}
    assert sum(record.tobytes() in known for record in np.concatenate(asked)) >= len(recovered)
    truth = victim().labels(w.test.x)
    assert (second.labels(w.test.x) == truth).mean() > 0.96


def test_a_second_lap_continues_the_first_clone_unless_the_architecture_changed() -> None:
    w = world()
    clone: Model = Knockoff(queries=50, steps=20).run(victim(), w.bench()).result.model()
    wider = Architecture(name="mlp", parameters={"hidden": (32,)})
    for architecture, expected in ((None, clone), (wider, None)):
        spy = Spy()
        later = w.bench(feedback=w.members, previous=clone, lifecycle=spy)
        Knockoff(queries=50, steps=20, architecture=architecture).run(victim(), later)
        assert [init for *_, init in spy.seen] == [expected]


@dataclass(frozen=True)
class Recording:
    held: Model
    note: Callable[[Any], None]

    def log_probs(self, x: Any) -> Any:
        self.note(x)
        return local_service(self.held).responder.log_probs(x)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        return self.held


def test_the_pool_is_used_up_before_records_are_repeated_with_noise() -> None:
    pool = world().pool
    rng = np.random.default_rng(0)
    assert {r.tobytes() for r in draw(pool, len(pool), rng).x} == {r.tobytes() for r in pool.x}
    more = draw(pool, 2 * len(pool), rng)
    assert {r.tobytes() for r in more.take(slice(len(pool))).x} == {r.tobytes() for r in pool.x}
    repeats = more.take(slice(len(pool), None))
    assert repeats.x.dtype == pool.x.dtype
    assert (repeats.ids == -1).all()
    assert len({r.tobytes() for r in repeats.x} - {r.tobytes() for r in pool.x}) > 0.95 * len(pool)
    with pytest.raises(InputError, match="empty"):
        draw(pool.take(slice(0)), 5, rng)


def test_tempering_flattens_without_changing_the_order() -> None:
    p = np.array([[0.9, 0.09, 0.01], [1.0, 0.0, 0.0]], np.float32)
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    assert tempered(log_p, 1.0) == pytest.approx(p, abs=1e-6)
    flat = tempered(log_p, 3.0)
    assert flat.sum(axis=1) == pytest.approx(1)
    assert flat[0] == pytest.approx(np.cbrt(p[0]) / np.cbrt(p[0]).sum(), abs=1e-6)
    assert (flat[1, 1:] > 0).all()
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(("n", "steps", "epochs"), [(64, 100, 100), (500, 1000, 125), (100_000, 1000, 7)])
def test_steps_do_not_shrink_with_the_queries(n: int, steps: int, epochs: int) -> None:
    recipe = enough(Recipe(epochs=7, batch_size=64, label_smoothing=0.1), n, steps)
    assert (recipe.epochs, recipe.label_smoothing) == (epochs, 0.0)
