"""Membership of texts by their tokens: scores against a slow reading of the papers, and AUCs on tiny models."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from text_world import TextWorld

from threatloop import modality
from threatloop.algorithms.token_membership import Score, value_of
from threatloop.attacks.model_to_data.reference_membership import ReferenceMembership
from threatloop.attacks.model_to_data.token_membership import TokenMembership
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Model
from threatloop.core.attack import Probe
from threatloop.core.bench import Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Reading
from threatloop.core.schema import TextSchema
from threatloop.core.service import Service
from threatloop.metrics.membership import Membership
from threatloop.modality.conversation import asked, write
from threatloop.models.responder import local_service

SCORES: tuple[Score, ...] = ("loss", "zlib", "min_k", "min_k_plus_plus")
PROBES: tuple[Probe[Service], ...] = (*(TokenMembership(score=score) for score in SCORES), ReferenceMembership())


def readings(probe: Probe[Service], model: Model, world: TextWorld) -> dict[str, Reading]:
    service = local_service(model, probe.info.needs)
    evidence = probe.run(service, world.bench(probe)).result
    assert service.ledger.spent == len(world.candidates)
    return {one.metric: one for one in Membership().grade(world.case(evidence, probe)).readings}


def slow(score: Score, share: float, tokens: list[list[float]], text: str) -> float:
    """One score of one text, token by token, as in the papers."""
    log_probs = [log_prob for log_prob, _, _ in tokens]
    if score == "loss":
        return sum(log_probs) / len(log_probs)
    if score == "zlib":
        return sum(log_probs) / len(log_probs) / (8 * len(zlib.compress(text.encode())))
    values = log_probs if score == "min_k" else [(p - mean) / deviation for p, mean, deviation in tokens]
    lowest = sorted(values)[: max(1, int(share * len(values)))]
    return sum(lowest) / len(lowest)


@pytest.mark.parametrize("share", [0.2, 0.35, 1.0])
@pytest.mark.parametrize("score", SCORES)
def test_scores_are_those_of_the_papers(score: Score, share: float) -> None:
    rng, texts = np.random.default_rng(0), ["abc", "hello there", "aaaaaaaaaaaaaaaaaaaa", "is it? it is."]
    data = Dataset(write(texts, 24), np.zeros(4, np.int64), TextSchema(width=24), np.arange(4))
    answers = np.full((4, 24, 3), np.nan, np.float32)
    for row, text in zip(answers, texts, strict=True):
        count = len(text) - 1
        row[:count] = np.stack([-rng.exponential(2, count), -rng.exponential(2, count), rng.uniform(1, 3, count)], 1)
    found = value_of(score, share)(answers, data)
    expected = [
        slow(score, share, row[~np.isnan(row[:, 0])].tolist(), text) for row, text in zip(answers, texts, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_of_a_conversation_what_the_assistant_says_is_compressed() -> None:
    chats = [asked("Why?" * 9, "So."), asked("Why?", "So. " * 9)]
    data = Dataset(write(chats), np.zeros(2, np.int64), TextSchema(width=write(chats).shape[1]), np.arange(2))
    bits = modality.of(data.schema).compressed(data)
    assert bits.tolist() == [8.0 * len(zlib.compress(text)) for text in (b"So.", b"So. " * 9)]


def test_a_certain_model_divides_by_no_zero() -> None:
    data = Dataset(write(["ab", "cd"], 4), np.zeros(2, np.int64), TextSchema(width=4), np.arange(2))
    answers = np.full((2, 4, 3), np.nan, np.float32)
    answers[:, 0] = 0.0
    assert np.isfinite(value_of("min_k_plus_plus", 0.2)(answers, data)).all()


def test_own_tokens_alone_are_not_enough_for_a_score_over_the_vocabulary() -> None:
    data = Dataset(write(["ab", "cd"], 4), np.zeros(2, np.int64), TextSchema(width=4), np.arange(2))
    answers = np.full((2, 4, 3), np.nan, np.float32)
    answers[:, 0, 0] = -1.0
    assert np.isfinite(value_of("min_k", 0.2)(answers, data)).all()
    with pytest.raises(NotAssessable, match="take score: min_k"):
        value_of("min_k_plus_plus", 0.2)(answers, data)


@pytest.mark.parametrize("probe", PROBES, ids=repr)
def test_texts_seen_thrice_are_found(probe: Probe[Service], text_world: TextWorld) -> None:
    area = readings(probe, text_world.victim, text_world)["membership"]
    assert area.low is not None
    assert area.low > 0.9


@pytest.mark.parametrize("probe", PROBES[:-1], ids=repr)
def test_a_model_that_never_saw_them_shows_nothing(probe: Probe[Service], text_world: TextWorld) -> None:
    area = readings(probe, text_world.stranger, text_world)["membership"]
    assert area.low is not None
    assert area.high is not None
    assert area.low < 0.5 < area.high


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_gain_over_the_reference_is_that_of_the_tokens_that_gained_least(
    share: float, text_world: TextWorld
) -> None:
    probe = ReferenceMembership(share=share)
    bench, service = text_world.bench(probe), local_service(text_world.victim, probe.info.needs)
    found = probe.run(service, bench).result.arrays["score"]
    x = text_world.candidates.x
    before: Any = bench.resource(Resource.REFERENCE)
    gains = service.responder.log_probs(x)[..., 0].astype(float) - before.log_probs(x)[..., 0]
    for score, gained in zip(found, gains, strict=True):
        ordered = sorted(one for one in gained.tolist() if one == one)
        least = ordered[: max(1, int(share * len(ordered) + 1e-9))]
        assert score == pytest.approx(sum(least) / len(least), abs=1e-4)


def test_canaries_are_graded_by_themselves(text_world: TextWorld) -> None:
    found = readings(ReferenceMembership(), text_world.victim, text_world)
    canaries = len(text_world.canaries)
    assert found["membership.canaries"].n == canaries
    assert found["membership"].n == len(text_world.candidates) - canaries


@pytest.mark.parametrize("probe", PROBES, ids=repr)
def test_budgets_are_used_up_and_never_passed(probe: Probe[Service], text_world: TextWorld) -> None:
    service = local_service(text_world.victim, {Capability.SCORES}, 7)
    outcome: Any = probe.run(service, text_world.bench(probe))
    assert service.ledger.spent == 7
    assert np.isfinite(outcome.result.arrays["score"]).sum() == 7
    with pytest.raises(NotAssessable, match="budget"):
        probe.run(local_service(text_world.victim, {Capability.SCORES}, 0), text_world.bench(probe))
