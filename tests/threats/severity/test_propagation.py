"""Delays of generated histories, whose truth is known; the study has no dates to test on."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation
from threatloop.threats.severity import propagation as module
from threatloop.threats.severity.estimate import Estimate, Missing
from threatloop.threats.severity.propagation import History, histories_of, median, propagation

FIXED = date(2024, 1, 1)
HALF = 60.0
"""True median of the delays, in days."""


def after(days: float) -> date:
    return FIXED + timedelta(days=int(days))


def generated(seed: int, repositories: int = 60, each: int = 3, spread: float = 0.0) -> list[History]:
    """Exponential delays of median `HALF` (times a factor of the repository), censored after 20 to 240 days."""
    rng = Streams(seed, ("histories",)).numpy("delays")
    made = []
    for number in range(repositories):
        factor = float(np.exp(spread * rng.normal()))
        for _ in range(each):
            delay, seen = rng.exponential(HALF / np.log(2)) * factor, rng.uniform(20, 240)
            patched = after(delay) if delay < seen else None
            made.append(History(f"r{number}", FIXED, patched, after(seen)))
    return made


def covered(seeds: range, spread: float) -> float:
    hits = 0
    for seed in seeds:
        found = propagation(generated(seed, spread=spread), seed).median
        assert isinstance(found, Estimate)
        hits += found.low <= HALF <= found.high
    return hits / len(seeds)


def test_the_median_is_right_where_forgetting_the_censored_is_not() -> None:
    histories = generated(0, repositories=400)
    found = propagation(histories)
    assert isinstance(found.median, Estimate)
    assert found.median.value == pytest.approx(HALF, rel=0.15)
    moved = [(one.patched - FIXED).days for one in histories if one.patched is not None]
    assert np.median(moved) < 0.8 * HALF
    assert found.patched == len(moved) < found.histories == len(histories)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_the_interval_covers_the_true_median(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where histories of one repository are alike."""
    monkeypatch.setattr(module, "RESAMPLES", 300)
    assert 0.89 <= covered(range(100), spread) <= 0.99


def test_without_censoring_it_is_the_plain_median() -> None:
    days = np.array([5.0, 1.0, 9.0, 3.0, 7.0])
    assert median(days, np.ones(5, dtype=bool)) == 5.0
    assert median(days, np.zeros(5, dtype=bool)) == float("inf")


def test_the_curve_falls_from_one_and_lies_in_its_band() -> None:
    curve = propagation(generated(1)).curve
    assert curve is not None
    assert list(curve.unpatched) == sorted(curve.unpatched, reverse=True)
    inside = [
        low <= value <= high
        for low, value, high in zip(curve.low, curve.unpatched, curve.high, strict=True)
        if np.isfinite([low, high]).all()
    ]
    assert len(inside) > 50
    assert all(inside)


def test_histories_that_say_nothing_are_counted_by_reason() -> None:
    unusable = [
        History("a", None, after(3)),
        History("a", FIXED),
        History("a", FIXED, after(-3)),
        History("a", FIXED, None, after(-3)),
    ]
    found = propagation([*generated(2), *unusable])
    assert sorted(found.excluded.values()) == [1, 1, 1, 1]
    assert found.median == propagation(generated(2)).median


@pytest.mark.parametrize(
    ("histories", "because"),
    [
        ([], "there are no histories"),
        ([History("a", None)], "1 with no date of a fixed release"),
        ([History("a", FIXED, after(1))] * 9, "9 histories of 1 repositories are too few"),
        ([History(f"r{k}", FIXED, None, after(9)) for k in range(9)], "none of the 9 repositories has moved"),
        ([History(f"r{k}", FIXED, after(4) if k < 2 else None, after(9)) for k in range(9)], "fewer than half"),
    ],
)
def test_what_cannot_be_computed_says_why(histories: list[History], because: str) -> None:
    found = propagation(histories).median
    assert isinstance(found, Missing)
    assert because in found.because


def test_an_end_that_was_not_reached_is_infinite() -> None:
    early = [History(f"r{k}", FIXED, after(k + 1)) for k in range(11)]
    late = [History(f"s{k}", FIXED, None, after(30)) for k in range(9)]
    found = propagation([*early, *late]).median
    assert isinstance(found, Estimate)
    assert found.value < 30
    assert found.high == float("inf")


def test_histories_come_from_the_dates_of_the_graph() -> None:
    graph = ThreatGraph([Node("CVE-1", Kind.VULNERABILITY, ""), Node("repository:a", Kind.REPOSITORY, "a")])
    facts = {"fixed_released": "2024-01-01", "patched": "2024-02-01", "observed": "no day"}
    graph.connect(Edge("CVE-1", Relation.AFFECTS, "repository:a", "test", Evidence.PUBLISHED, attributes=facts))
    assert histories_of(graph) == (History("repository:a", FIXED, after(31)),)
