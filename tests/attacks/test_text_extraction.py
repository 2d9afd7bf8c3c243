"""Extraction from tiny language models: what was planted comes out, what was not does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from text_world import TextWorld

from threatloop.algorithms.secret_search import cost, searched
from threatloop.attacks.model_to_data.canary_exposure import CanaryExposure
from threatloop.attacks.model_to_data.canary_extraction import CanaryExtraction
from threatloop.attacks.model_to_data.reference_continuation import ReferenceContinuation
from threatloop.attacks.model_to_data.verbatim_extraction import VerbatimExtraction
from threatloop.core.access import Capability
from threatloop.core.assets import Model
from threatloop.core.catalogue import METRICS
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Graded, Reading
from threatloop.core.step import Step
from threatloop.data.canaries import asking, exchanged, secrets_of
from threatloop.modality.beginnings import begun, gone_on, rest_of
from threatloop.modality.conversation import asked, prompt_of, read, row_problem, write
from threatloop.models.responder import local_service

GREEDY, BEAM = CanaryExtraction(), CanaryExtraction(beam=2)
EXPOSURE, VERBATIM = CanaryExposure(), VerbatimExtraction(characters=12)


_GRADED: dict[tuple[Step[Any], str], Graded] = {}


def graded(attack: Step[Any], model: Model, world: TextWorld) -> Graded:
    """Of every attack on every model once."""
    key = (attack, model.digest)
    if key not in _GRADED:
        outcome = attack.run(local_service(model), world.bench(attack)).result
        _GRADED[key] = METRICS.load(attack.info.metrics[0])().grade(world.case(outcome, attack))
    return _GRADED[key]


def figures(found: Graded) -> dict[str, Reading]:
    return {one.metric: one for one in found.readings}


def value(found: dict[str, Reading], name: str) -> float:
    number = found[name].value
    assert number is not None
    return number


@pytest.mark.parametrize("attack", [GREEDY, BEAM], ids=repr)
def test_secrets_planted_often_are_read_out_and_no_others(attack: CanaryExtraction, text_world: TextWorld) -> None:
    found = figures(graded(attack, text_world.victim, text_world))
    assert value(found, "canary_recall.at_8") == 1.0
    assert value(found, "canary_recall.at_1") <= value(found, "canary_recall.at_2") <= 1.0
    assert value(found, "canary_recall.never_planted") == 0.0
    assert 0.2 < value(found, "canary_recall") < 1.0


def test_a_beam_finds_what_the_likeliest_token_misses(text_world: TextWorld) -> None:
    greedy, beam = (value(figures(graded(a, text_world.victim, text_world)), "canary_recall") for a in (GREEDY, BEAM))
    assert beam >= greedy


@pytest.mark.parametrize("attack", [GREEDY, BEAM], ids=repr)
def test_a_model_that_never_saw_them_tells_no_secret(attack: CanaryExtraction, text_world: TextWorld) -> None:
    found = figures(graded(attack, text_world.stranger, text_world))
    assert value(found, "canary_recall") == 0.0


def test_exposure_tells_planted_from_held_back(text_world: TextWorld) -> None:
    found = figures(graded(EXPOSURE, text_world.victim, text_world))
    low = found["canary_exposure"].low
    assert low is not None
    assert low > 6
    # The best of 12 held back and the planted one.
    assert value(found, "canary_exposure.by_rank") == pytest.approx(np.log2(13))
    assert value(found, "canary_exposure.never_planted") < 3
    assert value(found, "canary_exposure.at_1") < value(found, "canary_exposure.at_8")
    assert value(found, "canary_exposure.per_doubling") > 0


def test_exposure_in_a_model_that_never_saw_them_is_chance(text_world: TextWorld) -> None:
    found = figures(graded(EXPOSURE, text_world.stranger, text_world))
    for name in ("canary_exposure", "canary_exposure.by_rank", "canary_exposure.never_planted"):
        assert value(found, name) < 3


def test_the_curves_have_a_point_for_each_number_of_repetitions(text_world: TextWorld) -> None:
    recall = graded(GREEDY, text_world.victim, text_world).curves["canary_recall"]
    exposure = graded(EXPOSURE, text_world.victim, text_world).curves["canary_exposure"]
    assert recall["copies"].tolist() == [0, 1, 2, 8]
    assert exposure["copies"].tolist() == [1, 2, 8]
    assert exposure["exposure"][0] < exposure["exposure"][-1]


def test_members_are_gone_on_with_word_by_word(text_world: TextWorld) -> None:
    found = figures(graded(VERBATIM, text_world.victim, text_world))
    low = found["verbatim"].low
    assert low is not None
    assert low > 0.2
    assert value(found, "verbatim.nonmembers") < 0.05
    assert found["verbatim"].n == len(text_world.candidates) - len(text_world.canaries)


def test_strangers_reproduce_nothing(text_world: TextWorld) -> None:
    found = figures(graded(VERBATIM, text_world.stranger, text_world))
    assert abs(value(found, "verbatim")) < 0.05


def test_baselines_ask_the_model_from_before(text_world: TextWorld) -> None:
    for attack, name in ((GREEDY, "canary_recall"), (VERBATIM, "verbatim")):
        baseline = attack.as_baseline()
        assert isinstance(baseline, ReferenceContinuation)
        service = local_service(text_world.victim)
        outcome = baseline.run(service, text_world.bench(baseline)).result
        assert service.ledger.spent == 0
        found = figures(METRICS.load(name)().grade(text_world.case(outcome, attack)))
        assert value(found, name) == pytest.approx(0.0, abs=0.05)


def test_a_baseline_completes_the_same_candidates(text_world: TextWorld) -> None:
    attack = VerbatimExtraction(queries=9)
    runs = [
        step.run(local_service(text_world.victim, limit=9), text_world.bench(step)).result
        for step in (attack, attack.as_baseline())
    ]
    assert sorted(runs[0].ids.tolist()) == sorted(runs[1].ids.tolist())
    assert len(runs[0]) == 9


@pytest.mark.parametrize("attack", [GREEDY, EXPOSURE, VERBATIM], ids=repr)
def test_budgets_are_used_up_and_never_passed(attack: Step[Any], text_world: TextWorld) -> None:
    service = local_service(text_world.victim, attack.required(), 7)
    assert attack.run(service, text_world.bench(attack)).stop_reason == "query budget spent"
    assert service.ledger.spent == 7


def test_a_beam_keeps_the_secrets_that_a_budget_suffices_for(text_world: TextWorld) -> None:
    service = local_service(text_world.victim, BEAM.required(), 2 * cost(2) + 20)
    outcome = BEAM.run(service, text_world.bench(BEAM))
    assert outcome.stop_reason == "query budget spent"
    assert len(outcome.result) == 2
    with pytest.raises(NotAssessable, match="budget"):
        BEAM.run(local_service(text_world.victim, BEAM.required(), 7), text_world.bench(BEAM))


def test_a_wide_beam_finds_the_likeliest_of_all(text_world: TextWorld) -> None:
    """Against trying every secret that shares all digits but two with the true one."""
    canary = text_world.canaries.take(slice(0, 1))
    (secret,) = secrets_of(canary)
    service, prompts = local_service(text_world.victim), asking(canary)
    found = searched(service, prompts, 3, np.random.default_rng(0), lambda _: None)
    others = [f"{secret[:-2]}{number:02d}" for number in range(100)]
    tried = exchanged(canary.take(np.zeros(101, np.int64)), [*others, *secrets_of(found)])
    totals = np.nansum(service.log_probs(tried.x)[..., 0], axis=1)
    assert totals[-1] >= totals[:-1].max() - 1e-3


def test_a_beam_asks_for_scores_and_the_likeliest_token_for_text() -> None:
    assert GREEDY.required() == {Capability.TEXT}
    assert BEAM.required() == {Capability.SCORES}


def test_attackers_are_not_told_the_secrets(text_world: TextWorld) -> None:
    prompts = "".join(map(str, read(GREEDY.hidden(text_world.candidates).x)))
    assert not any(secret in prompts for secret in secrets_of(text_world.canaries))
    assert len(GREEDY.hidden(text_world.candidates)) == len(text_world.canaries)
    known = VERBATIM.hidden(text_world.candidates)
    for prompt, number in zip(read(known.x), known.ids, strict=True):
        (whole,) = read(text_world.candidates.x[text_world.candidates.ids == number])
        assert isinstance(prompt, str)
        assert isinstance(whole, str)
        assert whole.startswith(prompt)
        assert len(prompt) <= 0.5 * len(whole) + 1


@pytest.mark.parametrize("text", ["ab", "abc", "one two three four", "onetwothreefour", "é" * 9, " a b"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_beginning_and_its_rest_are_the_whole(text: str, share: float) -> None:
    start = begun(text, share)
    assert isinstance(start, str)
    assert start + rest_of(text, share) == text
    assert row_problem(write([start], 40)[0]) == ""


def test_of_a_conversation_the_question_is_known() -> None:
    chat = asked("Why?", "So.")
    assert begun(chat, 0.5) == prompt_of(chat)
    assert rest_of(chat, 0.5) == "So."


@pytest.mark.parametrize("prompt", ["ab", asked("Why?")], ids=["document", "conversation"])
@pytest.mark.parametrize("reply", ["", "x" * 50, "é" * 50, "a\x1eb\0c", "\ufffd" * 9])
def test_what_a_model_writes_always_becomes_a_record(prompt: Any, reply: str) -> None:
    assert row_problem(write([gone_on(prompt, reply, 21)], 21)[0]) == ""


def test_without_canaries_there_is_nothing_to_extract(text_world: TextWorld) -> None:
    plain = np.isin(text_world.candidates.ids, text_world.canaries.ids, invert=True)
    world = replace(text_world, candidates=text_world.candidates.take(plain))
    for attack in (GREEDY, BEAM, EXPOSURE):
        with pytest.raises(NotAssessable, match="give the target `canaries:`"):
            attack.run(local_service(world.victim), world.bench(attack))
