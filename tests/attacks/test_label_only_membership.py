"""Membership from labels alone: a planted distance is found, nothing is found where there is nothing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from m2d_world import STREAMS, World

from threatloop.attacks.model_to_data.label_only_membership import LabelOnlyMembership
from threatloop.core.access import Capability
from threatloop.core.assets import Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.models.responder import local_service
from threatloop.numerics.intervals import Interval, auc_interval

METHODS: tuple[Literal["boundary", "noise"], ...] = ("boundary", "noise")
LABELS = frozenset({Capability.LABELS})


class Islands:
    """Gives every candidate's label near it, members a wider shore, and another label elsewhere."""

    def __init__(self, world: World) -> None:
        self._x = _flat(world.candidates.x)
        self._y, self._classes = world.candidates.y, world.candidates.n_classes
        self._reach = np.where(np.isin(world.candidates.ids, world.members.ids), 0.9, 0.6)

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        flat = _flat(x)
        apart = np.sqrt(np.maximum((flat**2).sum(1)[:, None] - 2 * flat @ self._x.T + (self._x**2).sum(1), 0))
        nearest = apart.argmin(axis=1)
        inside = apart[np.arange(len(x)), nearest] < self._reach[nearest]
        label = np.where(inside, self._y[nearest], (self._y[nearest] + 1) % self._classes)
        return np.asarray(np.log(0.1 + np.eye(self._classes)[label]), np.float32)

    def differentiable(self) -> Any:
        raise NotImplementedError

    def model(self) -> Model:
        raise NotImplementedError


def _flat(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(x, np.float64).reshape(len(x), -1) / (255 if x.dtype == np.uint8 else 1)


def area(world: World, probe: LabelOnlyMembership, service: Service) -> tuple[Interval, npt.NDArray[np.float64]]:
    scores = probe.run(service, world.bench(Resource.CANDIDATES)).result.arrays["score"]
    asked = np.isfinite(scores)
    found = auc_interval(scores[asked], np.isin(world.candidates.ids, world.members.ids)[asked])
    assert isinstance(found, Interval)
    return found, scores


@pytest.mark.parametrize("method", METHODS)
def test_members_that_lie_deeper_are_found(world: World, method: Literal["boundary", "noise"]) -> None:
    probe = LabelOnlyMembership(method=method, records=150, queries_per_record=150)
    service = Service(Islands(world), world.candidates.schema, LABELS)
    found, scores = area(world, probe, service)
    assert found.low > 0.9
    assert np.isfinite(scores).sum() == 150
    assert service.ledger.spent <= 150 * 150


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_never_saw_the_data_shows_nothing(world: World, method: Literal["boundary", "noise"]) -> None:
    probe = LabelOnlyMembership(method=method, records=200, queries_per_record=100)
    found, scores = area(world, probe, local_service(world.stranger, LABELS))
    assert found.low < 0.5 < found.high
    wrong = local_service(world.stranger).labels(world.candidates.x) != world.candidates.y
    assert (scores[wrong & np.isfinite(scores)] == 0).all()
    assert (scores[~wrong & np.isfinite(scores)] > 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [1, 7, 350])
def test_a_limit_asks_fewer_records_and_the_whole_budget_of_each(
    world: World, method: Literal["boundary", "noise"], limit: int
) -> None:
    probe = LabelOnlyMembership(method=method, records=50, queries_per_record=100)
    service = local_service(world.victim, LABELS, limit)
    scores = probe.run(service, Bench(STREAMS, {Resource.CANDIDATES: world.candidates})).result.arrays["score"]
    assert np.isfinite(scores).sum() == max(1, limit // 100)
    assert 0 < service.ledger.spent <= limit


def test_no_query_is_not_assessed(world: World) -> None:
    with pytest.raises(NotAssessable, match="budget"):
        LabelOnlyMembership().run(local_service(world.victim, LABELS, 0), world.bench(Resource.CANDIDATES))
