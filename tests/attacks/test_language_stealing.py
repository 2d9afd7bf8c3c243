"""Stealing from language models: the last layer exactly, and replies by distillation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from threatloop.algorithms.language_training import LanguageTraining
from threatloop.algorithms.text_theft import TextTheft, distinct, endings, joined, openings
from threatloop.algorithms.tuning import tune
from threatloop.attacks.model_to_model.last_layer_stealing import LastLayerStealing
from threatloop.attacks.model_to_model.projection_guess import ProjectionGuess
from threatloop.attacks.model_to_model.text_distillation import TextDistillation
from threatloop.attacks.model_to_model.text_surrogate import TextSurrogate
from threatloop.core.access import Capability, Ledger
from threatloop.core.assets import Architecture, Dataset, Evidence, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Reading
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.service import Service, Speaking
from threatloop.metrics.projection_recovered import ProjectionRecovered
from threatloop.metrics.reply_agreement import ReplyAgreement
from threatloop.modality.conversation import asked, read, write
from threatloop.models.build import build
from threatloop.models.network import dump
from threatloop.models.responder import local_service

SCHEMA = TextSchema(width=24)
WIDTH = 16
GPT = Architecture(name="gpt", parameters={"width": WIDTH, "layers": 1, "heads": 2})
RECIPE = Recipe(epochs=1, batch_size=16, optimiser="adam", learning_rate=0.01, weight_decay=0.0)
THEIRS = ("red", "green", "blue", "pink")
OWN = ("pine", "oak", "elm", "ash")


def chats(replies: Sequence[str], start: int, n: int) -> Dataset:
    """Questions whose first letter decides the reply; no two of them equal."""
    letters = "abcd"
    names = [f"{letters[i % 4]}{chr(97 + i // 4 % 26)}{chr(97 + i // 104)}" for i in range(start, start + n)]
    x = write([asked(name, replies[letters.index(name[0])]) for name in names], SCHEMA.width)
    return Dataset(x, np.zeros(n, np.int64), SCHEMA, np.arange(start, start + n))


@cache
def victim(replies: tuple[str, ...] = THEIRS) -> Model:
    return tune(GPT, chats(replies, 0, 96), RECIPE.model_copy(update={"epochs": 40}), Streams(1))


def bench() -> Bench:
    held = {Resource.QUERY_POOL: chats(OWN, 100, 96), Resource.LIFECYCLE: LanguageTraining(GPT, RECIPE)}
    return Bench(Streams(2), held)


@dataclass(frozen=True)
class Altered:
    """A speaker whose log-probabilities are altered on their way out."""

    inner: Any
    noise: float = 0.0
    shown: int = 0

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = self.inner.next_log_probs(x, bias)
        rng = np.random.default_rng(int(x.sum(dtype=np.int64)))  # Other noise on other prompts.
        answers += np.float32(self.noise) * rng.standard_normal(answers.shape, np.float32)
        if self.shown:
            answers[answers < np.sort(answers, axis=1)[:, [-self.shown]]] = -np.inf
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def readings(found: Evidence, attack: LastLayerStealing | ProjectionGuess) -> dict[str, Reading]:
    graded = ProjectionRecovered().grade(Case({"outcome": found, "victim": victim()}, attack, Streams(3)))
    return {reading.metric.partition(".")[2]: reading for reading in graded.readings}


def last_layer(service: Service, **fields: Any) -> tuple[Evidence, dict[str, Reading]]:
    attack = LastLayerStealing(**fields)
    found = attack.run(service, Bench(Streams(4))).result
    return found, readings(found, attack)


def altered(**changes: Any) -> Service:
    whole = local_service(victim(), {Capability.LOGPROBS})
    return replace(whole, responder=Altered(whole.responder, **changes))


@pytest.mark.parametrize("first", [8, 100, 1024])
def test_log_probabilities_give_the_width_the_projection_and_its_rotation(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threatloop.algorithms.last_layer.FIRST", first)
    found, graded = last_layer(local_service(victim(), {Capability.LOGPROBS}), queries=400)
    assert found.notes["width"] == WIDTH
    assert found.arrays["projection"].shape == (256, WIDTH)
    assert graded["width_exact"].value == 1
    assert graded["linear_error"].value is not None
    assert graded["rotation_error"].value is not None
    assert graded["linear_error"].value < 1e-3
    assert graded["rotation_error"].value < 1e-3
    assert (graded[""].value or 0) > 0.99


def test_the_likeliest_five_and_a_bias_give_the_same() -> None:
    assert isinstance(altered(shown=5).responder, Speaking)
    with pytest.raises(NotAssessable, match="of 5 of 256 tokens"):
        last_layer(altered(shown=5))
    found, graded = last_layer(altered(shown=5), queries=64 * 30 + 1, answers="top")
    assert found.notes["width"] == WIDTH
    assert found.notes["prompts"] == 30
    assert graded["linear_error"].value is not None
    assert graded["linear_error"].value < 1e-3
    assert graded["rotation_error"].value is None
    with pytest.raises(NotAssessable, match="larger one"):
        last_layer(altered(shown=5), queries=200, answers="top", bias=0.01)


def test_noisy_answers_find_nothing_and_say_so() -> None:
    found, graded = last_layer(altered(noise=3.0), queries=200)
    assert found.notes["width"] == 0
    assert "no clear gap" in found.notes["why"]
    assert found.arrays["projection"].size == 0
    assert graded[""].value == 0
    assert graded["width_exact"].value == 0
    assert graded["linear_error"].undefined == found.notes["why"]


def test_queries_up_to_the_width_are_not_computed() -> None:
    for queries in (1, WIDTH, WIDTH + 4):
        _, graded = last_layer(local_service(victim()), queries=queries)
        assert {reading.value for reading in graded.values()} == {None}
        assert f"cannot show a width of {WIDTH}" in graded[""].undefined


def test_a_spent_budget_keeps_what_was_found() -> None:
    service = replace(local_service(victim()), ledger=Ledger(60))
    outcome = LastLayerStealing(queries=500).run(service, Bench(Streams(4)))
    assert outcome.stop_reason == "query budget spent"
    assert outcome.result.notes["width"] == WIDTH
    assert service.ledger.spent == 60


def test_who_asks_nothing_recovers_nothing() -> None:
    attack = LastLayerStealing(queries=50)
    baseline = attack.as_baseline()
    assert isinstance(baseline, ProjectionGuess)
    graded = readings(baseline.run(local_service(victim()), Bench(Streams(4))).result, baseline)
    assert graded[""].value == 0


def test_an_untrained_model_gives_its_width_less_one() -> None:
    """Less the one dimension that its last norm, a LayerNorm whose shift is still 0, keeps out of every answer."""
    model = dump(build(GPT, SCHEMA, torch.Generator().manual_seed(3)), GPT, SCHEMA)
    found = LastLayerStealing(queries=100).run(local_service(model), Bench(Streams(4))).result
    assert found.notes["width"] == WIDTH - 1


def agreement(attack: TextTheft, source: Model) -> dict[str, float | None]:
    stolen = attack.run(local_service(source), bench()).result.responder.model()
    case = Case({"outcome": stolen, "victim": source, "test": chats(THEIRS, 200, 40)}, attack, Streams(3))
    return {reading.metric.partition(".")[2]: reading.value for reading in ReplyAgreement().grade(case).readings}


@pytest.mark.parametrize("answers", ["text", "logprobs"])
def test_a_student_writes_what_its_victim_wrote_and_a_surrogate_does_not(answers: Any) -> None:
    attack = TextDistillation(queries=96, steps=150, answers=answers)
    found = agreement(attack, victim())
    assert (found["task_of_victim"] or 0) > 0.85
    assert (found[""] or 0) > 0.8
    assert (found["tokens"] or 0) >= (found[""] or 0)
    surrogate = attack.as_baseline()
    assert isinstance(surrogate, TextSurrogate)
    assert surrogate.steps == attack.steps
    assert (agreement(surrogate, victim())[""] or 0) < 0.1


def test_where_the_victim_says_what_everybody_says_nothing_is_gained() -> None:
    attack = TextDistillation(queries=96, steps=150)
    same = victim(OWN)
    found, surrogate = agreement(attack, same), agreement(TextSurrogate(queries=96, steps=150), same)
    assert (found[""] or 0) - (surrogate[""] or 0) < 0.1


def test_a_student_of_another_vocabulary_learns_from_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    service = local_service(victim())
    short = TextDistillation(queries=20, steps=1, answers="logprobs")
    whole = service.responder
    assert isinstance(whole, Speaking)
    answers = whole.next_log_probs(chats(OWN, 0, 1).x)
    longer = np.pad(answers, ((0, 0), (0, 44)), constant_values=-50.0)
    monkeypatch.setattr(type(whole), "next_log_probs", lambda _self, x, _bias=None: np.repeat(longer, len(x), axis=0))
    with pytest.raises(NotAssessable, match=r"over 300 tokens and the student's vocabulary has 256.*answers: text"):
        short.run(service, bench())
    assert short.model_copy(update={"answers": "text"}).run(service, bench()).result


def test_where_log_probabilities_are_defended_bias_or_text_is_left() -> None:
    known = frozenset({Adaptation.LABELS})
    assert LastLayerStealing(queries=9).adapted(known) == (LastLayerStealing(queries=9, answers="top"),)
    assert TextDistillation(answers="logprobs").adapted(known) == (TextDistillation(),)


def test_a_thief_needs_only_what_he_uses_and_asks_nothing_twice() -> None:
    assert TextDistillation().required() == {Capability.TEXT}
    assert TextDistillation(answers="logprobs").required() == {Capability.TEXT, Capability.LOGPROBS}
    service = local_service(victim(), {Capability.TEXT}, limit=30)
    outcome = TextDistillation(queries=500, steps=1).run(service, bench())
    assert outcome.stop_reason == "query budget spent"
    pool = chats(OWN, 0, 10)
    twice = Dataset(np.repeat(pool.x, 2, 0), np.zeros(20, np.int64), SCHEMA, np.arange(20))
    assert len(distinct(twice, np.random.default_rng(0))) == 10


def test_prompts_end_where_the_assistant_speaks_or_half_way() -> None:
    x = write([asked("Why?", "So."), "abcdefgh", "ab"], SCHEMA.width)
    assert read(openings(x)) == [asked("Why?"), "abcd", "ab"]
    assert endings(x) == ["So.", "efgh", ""]
    assert joined("abcd", "é" * 20, 9) == "abcdéé"
    chat = joined(asked("Why?"), "a\x1e\0" + "b" * 50, SCHEMA.width)
    assert chat == asked("Why?", "a" + "b" * 14)
    assert write([chat], SCHEMA.width).shape == (1, SCHEMA.width)
