"""Risk and gate summaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from threatloop.analysis.gates import gate_summary
from threatloop.analysis.risk import risk, risks
from threatloop.core.errors import InputError
from threatloop.numerics.intervals import mean_t
from threatloop.numerics.undefined import Undefined


@pytest.mark.parametrize(
    ("value", "baseline", "worst", "higher", "expected"),
    [
        (0.75, 0.5, 1.0, True, 0.5),
        (0.4, 0.5, 1.0, True, 0.0),
        (1.0, 0.5, 1.0, True, 1.0),
        (0.7, 0.9, 0.1, False, 0.25),
        (0.95, 0.9, 0.1, False, 0.0),
        (0.0, 0.9, 0.1, False, 1.0),
    ],
)
def test_risk_by_hand(value: float, baseline: float, worst: float, higher: bool, expected: float) -> None:
    assert risk(value, baseline, worst, higher) == pytest.approx(expected)


@given(st.floats(0, 1), st.floats(0, 0.9), st.floats(0, 1))
def test_risk_is_monotone_and_mirrors(value: float, baseline: float, step: float) -> None:
    low, high = risk(value, baseline, 1.0), risk(value + step, baseline, 1.0)
    assert not isinstance(low, Undefined)
    assert not isinstance(high, Undefined)
    assert 0 <= low <= high <= 1
    assert risk(-value, -baseline, -1.0, higher_is_worse=False) == low


@pytest.mark.parametrize(
    ("baseline", "worst", "higher"), [(1.0, 1.0, True), (1.2, 1.0, True), (0.1, 0.1, False), (0.0, 0.1, False)]
)
def test_no_room_to_the_worst_case_is_undefined(baseline: float, worst: float, higher: bool) -> None:
    assert isinstance(risk(0.9, baseline, worst, higher), Undefined)


def test_undefined_figures_pass_through_per_seed() -> None:
    gone = Undefined("the task failed")
    found = risks([0.75, gone, 0.75], [0.5, 0.5, gone], 1.0)
    assert found[0] == 0.5
    assert found[1] == gone
    assert "baseline is missing: the task failed" in str(found[2])
    with pytest.raises(InputError, match="1 values and 2 baselines"):
        risks([0.1], [0.1, 0.2], 1.0)
    with pytest.raises(InputError, match="finite"):
        risk(float("nan"), 0.5, 1.0)


def test_gate_reports_rate_and_conditional_value_never_one_mean() -> None:
    accepted = [True] * 5 + [False] * 7
    values: list[float | Undefined] = [0.7, 0.8, 0.9, 0.75, 0.85, *([0.0] * 6), Undefined("refused")]
    found = gate_summary(accepted, values, np.random.default_rng(0), (0, 1))
    assert (found.n, found.accepted, found.pass_rate) == (12, 5, 5 / 12)
    exact = stats.binomtest(5, 12).proportion_ci(0.95, method="exact")
    assert not isinstance(found.pass_interval, Undefined)
    assert (found.pass_interval.low, found.pass_interval.high) == pytest.approx((exact.low, exact.high))
    assert found.value == pytest.approx(0.8)
    assert found.value_interval == mean_t([0.7, 0.8, 0.9, 0.75, 0.85])


def test_gate_that_holds_or_hides_a_value_is_undefined_behind_it() -> None:
    held = gate_summary([False] * 12, [0.0] * 12, np.random.default_rng(0))
    assert held.pass_rate == 0.0
    assert not isinstance(held.pass_interval, Undefined)
    assert held.pass_interval.high == pytest.approx(1 - 0.025 ** (1 / 12))
    assert "accepted in no seed" in str(held.value)
    hidden = gate_summary([True, True], [0.5, Undefined("it failed")], np.random.default_rng(0))
    assert "1 of 2 accepted seeds have no value" in str(hidden.value)
    assert isinstance(gate_summary([], [], np.random.default_rng(0)).pass_rate, Undefined)
    with pytest.raises(InputError, match="2 decisions and 1 values"):
        gate_summary([True, True], [0.5], np.random.default_rng(0))
