"""Membership of pairs of answers: found in a model that was tuned on them, and in no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from threatloop.algorithms.tuning import tune
from threatloop.attacks.model_to_data.margin_membership import MarginMembership
from threatloop.attacks.model_to_data.preference_membership import PreferenceMembership
from threatloop.attacks.model_to_data.prior_membership import PriorMembership
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Dataset, Evidence, Model, concatenate
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.errors import NotAssessable, Problems
from threatloop.core.metric import Case, Reading
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service
from threatloop.metrics.membership import Membership
from threatloop.modality.conversation import asked, write
from threatloop.modality.pairs import Pair, write_pairs
from threatloop.models.responder import local_service

STREAMS = Streams(0, ("pairs",))
GPT = Architecture(name="gpt", parameters={"width": 48, "layers": 2})
START = Recipe(epochs=12, batch_size=16, optimiser="adam", learning_rate=0.004, weight_decay=0.0)
DPO = START.model_copy(update={"objective": "dpo", "epochs": 30, "learning_rate": 3e-3})
N, WIDTH = 40, 40
LETTERS = "abcdefghijkl"
FOUND: tuple[Probe[Service], ...] = (PreferenceMembership(), MarginMembership(), MarginMembership(average="none"))


@dataclass(frozen=True)
class World:
    """Pairs of which nothing but a memory tells the preferred answer; the start was trained on neither kind."""

    members: Dataset
    candidates: Dataset
    start: Model
    victim: Model


def pairs(n: int, rng: np.random.Generator) -> Dataset:
    def word(length: int) -> str:
        return "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=length))

    x = write_pairs([Pair(asked(word(5), word(6)), word(6)) for _ in range(n)], WIDTH)
    return Dataset(x, np.zeros(n, np.int64), TextSchema(width=WIDTH), np.arange(n))


@pytest.fixture(scope="module")
def world() -> World:
    drawn = pairs(3 * N, STREAMS.numpy("pairs"))
    members, others, own = (drawn.take(slice(i * N, (i + 1) * N)) for i in range(3))
    start = tune(GPT, own, START, STREAMS.child("start"))
    candidates = concatenate([members, others])
    candidates = candidates.take(STREAMS.numpy("order").permutation(2 * N))
    return World(members, candidates, start, tune(GPT, members, DPO, STREAMS.child("tune"), init=start))


def bench(attack: Probe[Service], world: World) -> Bench:
    given = replace(world.candidates, ids=np.arange(2 * N))
    held: dict[Resource, Any] = {Resource.CANDIDATES: given, Resource.REFERENCE: local_service(world.start)}
    return Bench(STREAMS.child("attack"), {name: held[name] for name in attack.info.resources}, Progress())


def area(attack: Probe[Service], model: Model, world: World) -> Reading:
    evidence = attack.run(local_service(model, attack.info.needs), bench(attack, world)).result
    truths = {"outcome": evidence, "candidates": world.candidates, "members": world.members}
    return Membership().grade(Case(truths, attack, STREAMS)).readings[0]


@pytest.mark.parametrize("attack", FOUND, ids=repr)
def test_pairs_that_a_model_was_tuned_on_are_found(attack: Probe[Service], world: World) -> None:
    low = area(attack, world.victim, world).low
    assert low is not None
    assert low > 0.8


@pytest.mark.parametrize("attack", [*FOUND[1:], PreferenceMembership()], ids=repr)
def test_before_tuning_there_is_nothing(attack: Probe[Service], world: World) -> None:
    reading = area(attack, world.start, world)
    assert reading.low is not None
    assert reading.high is not None
    assert reading.low < 0.5 < reading.high


def test_who_never_asks_learns_nothing(world: World) -> None:
    reading = area(PriorMembership(), world.victim, world)
    assert reading.low is not None
    assert reading.high is not None
    assert reading.low < 0.5 < reading.high


def test_scores_are_the_implicit_rewards_margin(world: World) -> None:
    attack = PreferenceMembership()
    found = attack.run(local_service(world.victim, attack.info.needs), bench(attack, world)).result.arrays["score"]
    rows = pairs(3 * N, STREAMS.numpy("pairs")).take(slice(0, 2))
    for row, number in zip(rows.x, rows.ids, strict=True):
        place = int(np.flatnonzero(world.candidates.ids == number)[0])
        turns = row.tobytes().rstrip(b"\0").decode().strip("\x1e").split("\x1e")
        chats = write([asked(turns[0][1:], turns[1][1:]), asked(turns[0][1:], turns[2][1:])], WIDTH)
        now, before = (np.nansum(local_service(m).log_probs(chats)[..., 0], 1) for m in (world.victim, world.start))
        assert found[place] == pytest.approx((now - before)[0] - (now - before)[1], abs=1e-4)


def test_tuned_members_are_graded_by_themselves(world: World) -> None:
    scores = np.where(world.candidates.ids < N // 2, 1.0, 0.0)
    half = world.members.take(slice(0, N // 2))
    truths = {"candidates": world.candidates, "members": world.members, "tuned_on": half}
    case = Case({**truths, "outcome": Evidence({"score": scores})}, PreferenceMembership(), STREAMS)
    found = {one.metric: one for one in Membership().grade(case).readings}
    assert found["membership"].value == 0.75
    assert (found["membership.tuned"].value, found["membership.tuned"].n) == (1.0, N + N // 2)


@pytest.mark.parametrize("attack", FOUND, ids=repr)
def test_budgets_are_kept(attack: Probe[Service], world: World) -> None:
    service = local_service(world.victim, {Capability.SCORES}, 7)
    outcome: Any = attack.run(service, bench(attack, world))
    assert (service.ledger.spent, outcome.stop_reason) == (6, "query budget spent")
    assert np.isfinite(outcome.result.arrays["score"]).sum() == 3
    with pytest.raises(NotAssessable, match="budget"):
        attack.run(local_service(world.victim, {Capability.SCORES}, 1), bench(attack, world))


def test_documents_are_no_pairs(world: World) -> None:
    documents = world.candidates.with_x(write(["text"] * (2 * N), WIDTH))
    with pytest.raises(NotAssessable, match="no pairs"):
        FOUND[0].run(local_service(world.start), bench(FOUND[0], replace(world, candidates=documents)))


def test_a_tuning_interface_takes_pairs(tmp_path: Path) -> None:
    """The own records teach the start, by their preferred answers; what is offered tunes it, and is found."""
    tuning = {"epochs": 20, "batch_size": 8, "optimiser": "adam", "learning_rate": 0.001, "objective": "dpo"}
    target = {
        "data": {"chat": "preferences", "limit": 80, "room": 0},
        "model": {"name": "gpt", "parameters": {"width": 32, "layers": 1}},
        "recipe": {"epochs": 1, "optimiser": "adam", "learning_rate": 0.003},
        "tuning": tuning,
    }
    scenarios = {"pairs": {"attack": "preference_membership"}}
    finished = tiny.run(tiny.spec({"pairs": target}, scenarios), tmp_path)
    assert finished.record.errors == ()
    rows = {row["metric"]: row for row in tiny.table(tmp_path / "out") if row["arm"] == "attack"}
    assert rows["membership.tuned"]["low"] > 0.5
    planted = [check for check in finished.record.self_checks if "planted leak" in check.what]
    assert [check.passed for check in planted] == [True]
    with pytest.raises(Problems, match=r"pairs\.tuning\.objective: dpo learns from pairs"):
        tiny.plan(tiny.spec({"pairs": {**target, "data": "standin"}}, scenarios), tmp_path / "store")
    digits = {**tiny.DIGITS, "recipe": {**tiny.RECIPE, "objective": "dpo"}}
    with pytest.raises(Problems, match=r"digits\.recipe\.objective: dpo learns from pairs"):
        tiny.plan(tiny.spec({"digits": digits}), tmp_path / "store")
