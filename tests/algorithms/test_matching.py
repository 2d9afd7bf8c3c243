"""The search for an effort whose model is right as often as another: against every curve, and where none is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatloop.algorithms.matching import Effort, Search, matches
from threatloop.core.errors import NotAssessable


def test_half_a_point_is_counted_in_records_and_equal_counts_always_match() -> None:
    assert [matches(90, right, 1000) for right in (85, 90, 95, 84, 96)] == [True, True, True, False, False]
    assert [matches(9, right, 199) for right in (8, 9, 10)] == [False, True, False]
    assert matches(3, 3, 10)


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=40),
    st.integers(0, 1000),
    st.integers(200, 1000),
)
def test_whatever_the_curve_what_is_found_matches(curve: list[int], wanted: int, n: int) -> None:
    """Accuracy by epoch may rise and fall; smaller steps lower it in proportion."""
    curve = [min(right, n) for right in curve]
    tried: list[Effort] = []

    def trial(effort: Effort) -> int:
        tried.append(effort)
        return round(curve[effort.epochs - 1] * effort.rate)

    search = Search(trial, min(wanted, n), n, len(curve))
    try:
        effort = search.found(curve[-1])
    except NotAssessable:
        return
    assert 1 <= effort.epochs <= len(curve)
    assert 0 < effort.rate <= 1
    assert matches(round(curve[effort.epochs - 1] * effort.rate), min(wanted, n), n)
    assert not tried or tried[-1] == effort


@given(st.integers(2, 60), st.data())
def test_every_accuracy_of_a_rising_curve_is_found(epochs: int, data: st.DataObject) -> None:
    """Oracle: the curve is walked epoch by epoch."""
    n = 1000
    steps = data.draw(st.lists(st.integers(1, 12), min_size=epochs, max_size=epochs))
    curve = np.cumsum(steps).clip(max=n)
    wanted = int(data.draw(st.sampled_from(curve.tolist())))
    effort = Search(lambda one: int(curve[one.epochs - 1] * one.rate), wanted, n, epochs).found(int(curve[-1]))
    assert effort.rate == 1.0
    assert effort.epochs in [e + 1 for e, right in enumerate(curve.tolist()) if matches(right, wanted, n)]


def test_nothing_is_trained_where_the_full_training_matches() -> None:
    def never(_: Effort) -> int:
        raise AssertionError

    assert Search(never, 951, 1000, 10).found(955) == Effort(10)


def test_between_two_epochs_the_steps_are_made_smaller() -> None:
    search = Search(lambda one: int(900 * min(one.epochs, 2) / 2 * one.rate**0.1), 700, 1000, 10)
    effort = search.found(900)
    assert effort.epochs == 2
    assert effort.rate < 1
    assert matches(search.seen[effort], 700, 1000)


def test_a_training_that_goes_too_far_is_stopped_where_it_was_better() -> None:
    search = Search(lambda one: 960 if one.epochs == 6 else 930, 960, 1000, 10)
    assert search.found(940) == Effort(6)


@pytest.mark.parametrize(
    ("wanted", "why"), [(990, r"is higher with A \(0.990\) than without \(0.940\)"), (500, "the nearest of")]
)
def test_where_no_effort_matches_the_reason_is_given(wanted: int, why: str) -> None:
    with pytest.raises(NotAssessable, match=why):
        Search(lambda _: 930, wanted, 1000, 10).found(940)
