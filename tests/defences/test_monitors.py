"""Monitors: searches and synthetic queries are flagged, natural ones as seldom as promised."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from threatloop.algorithms.monitoring import Kind, distances, first_times
from threatloop.core.assets import Dataset
from threatloop.core.detection import Monitor
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.data.sources import parse_source
from threatloop.defences.monitor.prada import Prada
from threatloop.defences.monitor.query_budget import QueryBudget
from threatloop.defences.monitor.query_similarity import QuerySimilarity
from threatloop.modality.conversation import read, write

STREAMS = Streams(0, ("seed0",))


@cache
def digits() -> tuple[Dataset, Dataset]:
    """The defender's own records, and others."""
    data = Embedded(embedded="digits").read(Path()).dataset
    order = np.random.default_rng(0).permutation(len(data))
    return data.take(order[:500]), data.take(order[500:])


def respond(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Sorts records by the quarter of the image that is brightest."""
    x = np.asarray(x, np.float32)
    quarters = [x[:, 0, a : a + 4, b : b + 4].sum(axis=(1, 2)) for a in (0, 4) for b in (0, 4)]
    return np.asarray(np.stack(quarters, axis=1), np.float32)


@cache
def passages() -> tuple[Dataset, Dataset]:
    """The owner's texts, and others of the kind."""
    data = parse_source({"text": "stdlib", "length": 160, "limit": 900}).read(Path()).dataset
    order = np.random.default_rng(0).permutation(len(data))
    return data.take(order[:500]), data.take(order[500:])


def test_searches_around_a_few_prompts_are_seen_among_texts() -> None:
    own, others = passages()
    rng, monitor = np.random.default_rng(4), QuerySimilarity(window=200)
    asked = [str(record)[:60] for record in read(others.x[:5])]
    fillers = ["please", "now", "in short", "as a list", "step by step", "truly", "again", "for me"]
    tries = [
        f"{' '.join(rng.choice(fillers, 3))} {asked[i % 5]} {' '.join(rng.choice(fillers, 3))}" for i in range(120)
    ]
    searching = write(tries, own.x.shape[1])
    clients = [others.x[rng.permutation(len(others))[:120]] for _ in range(20)]
    first, *rest = monitor.flags([searching, *clients], nobody, own, STREAMS)
    assert first is not None
    assert first <= 60
    assert sum(one is not None for one in rest) <= 1


def nobody(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:  # noqa: ARG001
    raise AssertionError("labels are not looked at")


def natural(clients: int, n: int = 200) -> list[npt.NDArray[Any]]:
    rng, others = np.random.default_rng(1), digits()[1]
    return [others.x[rng.permutation(len(others))[:n]] for _ in range(clients)]


def search(n: int = 200) -> npt.NDArray[Any]:
    """Small noise around five records, in turn."""
    rng, others = np.random.default_rng(2), digits()[1].x
    at = others[np.arange(n) % 5].astype(np.int64)
    return np.asarray(np.clip(at + rng.integers(-8, 9, at.shape), 0, 255), np.uint8)


def halves(n: int = 200) -> npt.NDArray[Any]:
    """Natural records, and each of them moved a little: distances of two sizes."""
    rng, others = np.random.default_rng(3), digits()[1].x
    at = others[np.repeat(rng.permutation(len(others))[: n // 2], 2)].astype(np.int64)
    at[1::2] += rng.integers(-8, 9, at[1::2].shape)
    return np.asarray(np.clip(at, 0, 255), np.uint8)


def far(n: int = 200) -> npt.NDArray[Any]:
    """Plain noise, farther apart than records are."""
    return np.random.default_rng(4).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("monitor", "caught", "passed"),
    [
        (Prada(), [search, far], []),
        (QuerySimilarity(), [search], [far]),
        (Prada(test="normality"), [halves], [far]),
    ],
    ids=["prada", "query_similarity", "prada as published"],
)
def test_a_monitor_flags_what_it_is_for(monitor: Monitor, caught: list[Any], passed: list[Any]) -> None:
    clients = [one() for one in (*caught, *passed)] + natural(40)
    found = monitor.flags(clients, respond, digits()[0], STREAMS)
    assert all(after is not None and 10 < after <= 200 for after in found[: len(caught)])
    assert found[len(caught) : len(caught) + len(passed)] == [None] * len(passed)
    # At one benign client in a hundred, more than three of forty happen once in 1,200 times.
    assert sum(after is not None for after in found[-40:]) <= 3


def test_one_client_is_judged_as_among_others() -> None:
    monitor, own = QuerySimilarity(clients=100), digits()[0]
    clients = [search(), *natural(1)]
    together = monitor.flags(clients, respond, own, STREAMS)
    assert together == [monitor.flagged_after(one, respond, own, STREAMS) for one in clients]
    assert together[0] is not None


def test_too_few_clients_for_the_rate_are_refused() -> None:
    with pytest.raises(ValidationError, match="use at least 100"):
        QuerySimilarity(clients=50)


def test_a_repeated_query_counts_once() -> None:
    x = natural(1, 30)[0]
    twice = np.concatenate([x, x[::-1]])
    assert first_times(twice).tolist() == list(range(30))
    monitor = QuerySimilarity(clients=100, neighbours=3)
    assert monitor.flags([np.repeat(x, 20, axis=0)], respond, digits()[0], STREAMS) == [None]


def test_distances_are_those_of_single_pairs() -> None:
    own = digits()[0]
    points = Kind.of(own).points(own.x[:6])
    slow = [[np.linalg.norm(a - b) for b in points.astype(np.float64)] for a in points]
    np.testing.assert_allclose(distances(points), slow, atol=2e-3)


def test_the_published_distances_grow_their_sets_slowly() -> None:
    """Juuti et al. 2019, section 5.1, by hand: one class, points on a line."""
    at = np.array([0.0, 10.0, 10.5, 20.0, 20.2])
    apart = np.abs(at[:, None] - at[None]).astype(np.float32)
    found = Prada().values(apart, np.zeros(5, np.int64))
    # The limit is 10 after the second point: 10.5 and 20 are not taken in, so that 20.2 is measured to 10.
    np.testing.assert_allclose(found, [np.nan, 10, 0.5, 10, 10.2], atol=1e-5)


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        (QueryBudget(), 1024),
        (QueryBudget(rate=0.25, volumes=(5, 10, 20, 400)), 20),
        (QueryBudget(volumes=(7,)), 7),
    ],
)
def test_a_budget_is_a_quantile_of_benign_volumes(budget: QueryBudget, allowed: int) -> None:
    own = digits()[0]
    assert budget.budget == allowed
    assert budget.flagged_after(np.zeros((allowed, 1)), respond, own, STREAMS) is None
    assert budget.flagged_after(np.zeros((allowed + 1, 1)), respond, own, STREAMS) == allowed + 1
    rng = np.random.default_rng(0)
    flagged = np.mean([budget.usual(1, rng) > allowed for _ in range(4000)])
    assert flagged <= budget.rate + 0.02


def test_queries_asked_as_bytes_and_as_floats_are_one_stream() -> None:
    """A thief who begins with stored records and goes on with computed ones."""
    from threatloop.engine.operations.serve import Front

    class Plain:
        def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            return respond(x if x.dtype == np.uint8 else 255 * x)

    own, others = digits()
    front = Front((QuerySimilarity(clients=100),), own, others, STREAMS)
    x = natural(1)[0]
    front.asked = [x[:100], (x[100:] / 255).astype(np.float32)]
    alarm = front.alarms(Plain())["query_similarity"]  # type: ignore[arg-type]
    assert (alarm["after"], alarm["clients"]) == (0, 40)
    front.asked = [search()[:100], (search()[100:] / 255).astype(np.float32)]
    assert 10 < front.alarms(Plain())["query_similarity"]["after"] < 100  # type: ignore[arg-type]
