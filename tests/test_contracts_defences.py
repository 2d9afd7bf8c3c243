"""What every defence of the catalogue does. A new row is tested here without a line of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import chat_world
import tiny
from threatloop import modality
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Defence, Repair, Sanitiser, TrainingDefence
from threatloop.core.detection import Inspection, Monitor, Verification
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import IngestGate, Protection
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Serving
from threatloop.core.training import Training
from threatloop.data.embedded import Embedded
from threatloop.models.responder import responder_of
from threatloop.scenario.served import served

KINDS = {"image": "digits", "tabular": "breast_cancer", "text": ""}
STREAMS = Streams(0, ("contract",))
ROWS = DEFENCES.names()


@dataclass(frozen=True)
class World:
    """A small victim and records that it has not seen."""

    own: Dataset
    outside: Dataset
    training: Training
    model: Model

    def respond(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return self.training.serve(self.model).log_probs(x)


@cache
def world(kind: str) -> World:
    if kind == "text":
        return World(chat_world.own(), chat_world.offered(), chat_world.TRAINING, chat_world.model())
    data = Embedded(embedded=KINDS[kind]).read(Path()).dataset
    order = STREAMS.numpy("split").permutation(len(data))
    own, outside = data.take(order[:160]), data.take(order[160:240])
    architecture = Architecture(name="mlp", parameters={"hidden": (8,)})
    training = RecipeTraining(architecture, Recipe(epochs=2, batch_size=32))
    return World(own, outside, training, training.fit(own, STREAMS.child("victim")))


def worlds(defence: Defence) -> Iterator[World]:
    """Where a defence acts; a world that it refuses is named in a line."""
    for kind in sorted(defence.info.modalities & set(KINDS)):
        here = world(kind)
        problems = defence.unfit(here.own.schema, here.training.architecture)
        assert all(problem and "\n" not in problem for problem in problems)
        if not problems:
            yield here


def ran(defence: Defence, check: Callable[[World], None]) -> None:
    """Check a defence wherever it acts; it must act somewhere, and say why not elsewhere."""
    done, reasons = 0, []
    for here in worlds(defence):
        try:
            check(here)
            done += 1
        except NotAssessable as reason:
            reasons.append(str(reason))
    assert all(reasons)
    assert done, reasons


def rows(kind: type[Defence]) -> list[str]:
    return [name for name in ROWS if issubclass(DEFENCES.load(name), kind)]


def check_model(model: Model, here: World) -> None:
    """A model of this schema whose answers are distributions."""
    assert model.schema == here.own.schema
    assert all(np.isfinite(weights).all() for weights in model.weights.values())
    check_answers(here.training.serve(model).log_probs(here.outside.x), here.outside)


def check_answers(answers: npt.NDArray[np.float32], asked: Dataset) -> None:
    if asked.schema.kind == "text":
        assert answers.dtype == np.float32
        assert np.isfinite(modality.of(asked.schema).losses(answers, asked)).all()
        return
    assert answers.shape == (len(asked), asked.n_classes)
    assert answers.dtype == np.float32
    assert np.isfinite(answers).all()
    assert np.exp(answers.astype(np.float64)).sum(axis=1) == pytest.approx(np.ones(len(asked)), abs=1e-4)


def test_every_row_has_a_stage_with_a_call() -> None:
    calls = (Sanitiser, IngestGate, Protection, TrainingDefence, Repair, Inspection, Serving, Monitor, Verification)
    assert [name for name in ROWS if not issubclass(DEFENCES.load(name), calls)] == []


@pytest.mark.parametrize("name", rows(Sanitiser))
@pytest.mark.parametrize("share", [0.6, 0.0, 1.0])
def test_a_sanitiser_answers_for_every_record_and_repeats_itself(name: str, share: float) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Sanitiser)

    def check(here: World) -> None:
        trusted = np.arange(len(here.own)) < share * len(here.own)
        first, again = (defence.keep(here.own, trusted, here.training, STREAMS) for _ in range(2))
        assert first.dtype == np.bool_
        assert first.shape == (len(here.own),)
        assert np.array_equal(first, again)
        assert first.any()
        assert share == 1 or first[trusted].all(), "it removed the defender's own records"

    ran(defence, check)


@pytest.mark.parametrize("name", rows(TrainingDefence))
def test_a_training_defence_trains_a_model_and_repeats_itself(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, TrainingDefence)

    def check(here: World) -> None:
        training = defence.applied(here.training)
        first, again = (training.fit(here.own, STREAMS.child("fit")) for _ in range(2))
        check_model(first, here)
        assert first.digest == again.digest
        masks = np.arange(len(here.own))[None] % 2 == np.arange(2)[:, None]
        models = training.fit_many(here.own, masks, [STREAMS.child(str(k)) for k in range(2)])
        assert len(models) == 2
        for model in models:
            check_model(model, here)
        if here.own.schema.kind == "text":  # a text has one distribution for each token, and none for itself
            return
        soft = np.full((len(here.own), here.own.n_classes), 1 / here.own.n_classes, np.float32)
        check_model(training.fit(here.own, STREAMS.child("soft"), soft_targets=soft), here)

    ran(defence, check)


@pytest.mark.parametrize("name", rows(Repair))
def test_a_repair_returns_a_model_and_repeats_itself(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Repair)

    def check(here: World) -> None:
        digest = here.model.digest
        first, again = (defence.repair(here.model, here.own, here.training, STREAMS) for _ in range(2))
        check_model(first, here)
        assert first.digest == again.digest
        assert Model(here.model.architecture, here.model.schema, here.model.weights).digest == digest

    ran(defence, check)


@pytest.mark.parametrize("name", rows(Inspection))
def test_an_inspection_gives_its_evidence_and_repeats_itself(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Inspection)

    def check(here: World) -> None:
        first, again = (defence.inspect(here.model, here.own, here.training, STREAMS) for _ in range(2))
        assert first == again
        assert isinstance(first.flagged, bool)
        assert np.isfinite(first.score)

    ran(defence, check)


@pytest.mark.parametrize("name", rows(Serving))
def test_a_serving_defence_answers_with_distributions_and_repeats_itself(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Serving)

    def check(here: World) -> None:
        first, again = (defence.bind(here.respond, here.own, STREAMS)(here.outside.x) for _ in range(2))
        check_answers(first, here.outside)
        assert np.array_equal(first, again, equal_nan=True)
        one = here.outside.take(slice(0, 1))
        check_answers(defence.bind(here.respond, here.own, STREAMS)(one.x), one)

    ran(defence, check)


@pytest.mark.parametrize("name", [name for name in rows(Serving) if "text" in DEFENCES.load(name).info.modalities])
def test_a_serving_defence_of_text_lets_a_model_write_and_repeats_itself(name: str) -> None:
    defence, here = tiny.small_defence(name), world("text")
    assert isinstance(defence, Serving)
    x = chat_world.prompts(here.outside)
    bare = responder_of(here.model, "cpu")
    first, again = (served(bare, (defence,), here.own, STREAMS) for _ in range(2))
    assert isinstance(first, Speaking)
    assert isinstance(again, Speaking)
    said = first.replies(x, 6)
    assert len(said) == len(x)
    assert said == again.replies(x, 6)
    told = first.next_log_probs(x)
    assert told.dtype == np.float32
    np.testing.assert_allclose(np.exp(told.astype(np.float64)).sum(axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(told, again.next_log_probs(x))
    assert first.replies(x[:1], 1)


@pytest.mark.parametrize("name", rows(Monitor))
def test_a_monitor_flags_at_one_of_the_queries_or_never(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Monitor)

    def check(here: World) -> None:
        queries = here.outside.x
        first, again = (defence.flagged_after(queries, here.respond, here.own, STREAMS) for _ in range(2))
        assert first == again
        assert first is None or 1 <= first <= len(queries)

    ran(defence, check)


@pytest.mark.parametrize("name", rows(Verification))
def test_a_verification_gives_a_p_value_and_repeats_itself(name: str) -> None:
    defence = tiny.small_defence(name)
    assert isinstance(defence, Verification)

    def check(here: World) -> None:
        arguments = (here.respond, here.own, here.outside, here.training, STREAMS)
        first, again = (defence.claim(*arguments) for _ in range(2))
        assert first == again
        assert 0 <= first.p_value <= 1
        assert np.isfinite(first.statistic)

    ran(defence, check)
