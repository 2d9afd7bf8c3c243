"""Membership inference: planted effects, honest nulls, budgets, access, and one thin thread of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from m2d_world import STREAMS, World, letters

from threatloop.attacks.model_to_data.lira import Lira
from threatloop.attacks.model_to_data.loss_threshold import LossThreshold
from threatloop.attacks.model_to_data.prior_membership import PriorMembership
from threatloop.core.access import BLACK_BOX, Capability
from threatloop.core.assets import Evidence, Model, Shadows
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, InputError, NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import Outcome
from threatloop.metrics.membership import Membership
from threatloop.modality.text import SCORES
from threatloop.models.responder import local_service
from threatloop.numerics.intervals import Interval, auc_interval
from threatloop.numerics.roc import auc

PROBES: tuple[Probe[Service], ...] = (LossThreshold(), Lira(), Lira(online=False))
Floats = npt.NDArray[np.float64]


def examine(probe: Probe[Service], model: Model, world: World, limit: int | None = None) -> Outcome[Evidence]:
    return probe.run(local_service(model, BLACK_BOX, limit), world.bench(*probe.info.resources))


def scores(probe: Probe[Service], model: Model, world: World, limit: int | None = None) -> Floats:
    return np.asarray(examine(probe, model, world, limit).result.arrays["score"])


def area(probe: Probe[Service], model: Model, world: World) -> tuple[float, float, float]:
    """AUC and its interval, over all candidates."""
    found, member = scores(probe, model, world), np.isin(world.candidates.ids, world.members.ids)
    value, interval = auc(found, member), auc_interval(found, member)
    assert isinstance(value, float)
    assert isinstance(interval, Interval)
    return value, interval.low, interval.high


@pytest.mark.parametrize("probe", PROBES[1:], ids=("online", "offline"))
def test_an_overfitted_victim_is_found(probe: Probe[Service], world: World) -> None:
    value, low, _ = area(probe, world.victim, world)
    assert value > 0.55
    assert low > 0.5


@pytest.mark.parametrize("probe", [*PROBES, PriorMembership()], ids=lambda p: repr(p))
def test_a_model_that_never_saw_the_data_is_not(probe: Probe[Service], world: World) -> None:
    _, low, high = area(probe, world.stranger, world)
    assert low < 0.5 < high


def test_likelihood_ratios_beat_the_loss(world: World) -> None:
    loss, online = (area(probe, world.victim, world)[0] for probe in PROBES[:2])
    assert online > loss + 0.02


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: repr(p))
def test_a_spent_budget_leaves_a_random_sample_of_the_same_scores(probe: Probe[Service], world: World) -> None:
    whole = scores(probe, world.victim, world)
    outcome = examine(probe, world.victim, world, limit=300)
    part = outcome.result.arrays["score"]
    known = np.isfinite(part)
    assert outcome.stop_reason == "query budget spent"
    assert known.sum() == 300
    np.testing.assert_allclose(part[known], whole[known], rtol=1e-3, atol=1e-3)
    member = np.isin(world.candidates.ids[known], world.members.ids)
    assert 0.4 < member.mean() < 0.6
    assert Membership().grade(world.case(outcome.result, probe)).readings[0].n == 300


def test_a_budget_of_nothing_is_not_assessed(world: World) -> None:
    with pytest.raises(NotAssessable, match="budget"):
        examine(LossThreshold(), world.victim, world, limit=0)


def test_one_query_per_candidate_and_the_same_scores_again(world: World) -> None:
    service = local_service(world.victim, BLACK_BOX)
    bench = world.bench(*Lira.info.resources)
    first = Lira().run(service, bench).result.arrays["score"]
    assert service.ledger.spent == len(world.candidates)
    np.testing.assert_array_equal(first, scores(Lira(), world.victim, world))


def test_scores_must_be_granted_and_shadows_declared(world: World) -> None:
    with pytest.raises(AccessError, match="scores"):
        Lira().run(local_service(world.victim, {Capability.LABELS}), world.bench(*Lira.info.resources))
    with pytest.raises(AccessError, match="shadows"):
        Lira().run(local_service(world.victim, BLACK_BOX), world.bench(Resource.CANDIDATES))


def test_shadows_of_other_candidates_are_refused(world: World) -> None:
    shadows = Shadows(world.shadows.models, world.shadows.masks[:, 1:], world.shadows.log_probs[:, 1:])
    bench = Bench(STREAMS, {Resource.CANDIDATES: world.candidates, Resource.SHADOWS: shadows})
    with pytest.raises(InputError, match="candidates"):
        Lira().run(local_service(world.victim, BLACK_BOX), bench)


def test_text_needs_no_code_of_its_own() -> None:
    candidates = letters(300, np.random.default_rng(0))
    member = np.arange(300) < 150

    class Memoriser:
        """Knows its members' next tokens better than others'."""

        def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            known = (x[:, None] == candidates.x[member][None]).all(axis=2).any(axis=1)
            scores = np.full((*x.shape, SCORES), np.nan, np.float32)
            scores[:, :-1, 0] = np.where(known, -0.5, -1.5)[:, None] + np.sin(x[:, 1:] * 37.0) / 4
            scores[:, :-1][x[:, 1:] == 0] = np.nan
            return scores

        def differentiable(self) -> Any:
            raise NotImplementedError

        def model(self) -> Model:
            raise NotImplementedError

    found = LossThreshold().run(
        Service(Memoriser(), candidates.schema), Bench(STREAMS, {Resource.CANDIDATES: candidates})
    )
    score = found.result.arrays["score"]
    area = auc(score, member)
    assert isinstance(area, float)
    assert area > 0.98  # not 1: a few short sequences occur on both sides
    prior = PriorMembership().run(
        Service(Memoriser(), candidates.schema), Bench(STREAMS, {Resource.CANDIDATES: candidates})
    )
    assert np.unique(prior.result.arrays["score"]).size > 100
