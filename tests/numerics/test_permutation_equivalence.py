"""Tests of differences against enumeration and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from threatloop.core.errors import InputError
from threatloop.numerics.equivalence import bh_q, tost
from threatloop.numerics.permutation import sign_flip_p
from threatloop.numerics.studentised import studentise
from threatloop.numerics.undefined import Undefined


def number(value: float | Undefined) -> float:
    assert not isinstance(value, Undefined), value
    return value


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_sign_flip_matches_enumeration_with_ties(values: list[int]) -> None:
    flips = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    expected = sum(total >= abs(sum(values)) for total in flips) / len(flips)
    # Tenths have no exact binary form, so that ties test the tolerance too.
    assert sign_flip_p([v / 10 for v in values]) == pytest.approx(expected)


def test_sign_flip_is_exact_at_thirty_and_monte_carlo_beyond() -> None:
    values = np.random.default_rng(4).normal(0.3, size=30)
    exact = number(sign_flip_p(values))
    scipys = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=40_000, rng=np.random.default_rng(0)
    ).pvalue
    assert exact == pytest.approx(scipys, abs=0.015)
    assert sign_flip_p(np.ones(30)) == pytest.approx(2 / 2**30)
    longer = np.append(values, [0.0] * 5)
    assert isinstance(sign_flip_p(longer), Undefined)
    # Zeros flip into themselves: padding must not change the p-value.
    assert number(sign_flip_p(longer, np.random.default_rng(1))) == pytest.approx(exact, abs=0.006)


def test_sign_flip_edges() -> None:
    assert sign_flip_p([0.0] * 12) == 1.0
    assert sign_flip_p([1.0] * 12) == pytest.approx(2 / 4096)
    assert sign_flip_p([-1.0] * 9) == pytest.approx(0.00390625)
    assert isinstance(sign_flip_p([]), Undefined)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 2.0))
def test_tost_is_the_larger_of_two_one_sided_t_tests(seed: int, delta: float) -> None:
    values = np.random.default_rng(seed).normal(0.1, 1, size=14)
    above = stats.ttest_1samp(values, -delta, alternative="greater").pvalue
    below = stats.ttest_1samp(values, delta, alternative="less").pvalue
    assert tost(values, delta) == pytest.approx(max(above, below))


def test_tost_without_spread_uses_the_bounds_or_refuses() -> None:
    assert isinstance(tost([0.0] * 12, 0.05), Undefined)
    assert tost([0.0] * 12, 0.05, (-1, 1)) == pytest.approx(0.95**12)
    assert tost([0.0] * 100, 0.05, (-1, 1)) == pytest.approx(0.95**100)
    assert tost([0.02] * 12, 0.05, (-1, 1)) == pytest.approx((1 - 0.03 / 0.98) ** 12)
    assert tost([0.05] * 12, 0.05, (-1, 1)) == 1.0
    assert tost([0.0] * 12, 0.05, (-0.01, 0.01)) == 0.0
    assert isinstance(tost([0.1], 0.05), Undefined)
    with pytest.raises(InputError, match="above 0"):
        tost([0.1, 0.2], 0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_q_values_match_scipy_and_ignore_missing_entries(p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values, method="bh")
    np.testing.assert_allclose(np.array(bh_q(p_values), dtype=float), expected)
    q_values = bh_q([None, *p_values, Undefined("no seeds")])
    np.testing.assert_allclose(np.array(q_values[1:-1], dtype=float), expected)
    assert isinstance(q_values[0], Undefined)
    assert q_values[-1] == Undefined("no seeds")


def test_q_values_reject_what_is_no_probability() -> None:
    assert bh_q([]) == ()
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        bh_q([0.1, 1.5])


def test_studentised_p_values_agree_with_t_on_symmetric_data() -> None:
    values = stats.norm.ppf((np.arange(30) + 0.5) / 30) + 0.4
    resampled = studentise(values, np.random.default_rng(0), 20_000)
    assert resampled.p_two_sided(0.0) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.015)
    above = stats.ttest_1samp(values, 0.2, alternative="greater").pvalue
    assert resampled.p_above(0.2) == pytest.approx(above, abs=0.02)
    assert resampled.p_below(0.2) == pytest.approx(1 - above, abs=0.02)


def test_resamples_without_spread_count_against_the_claim() -> None:
    resampled = studentise(np.append(np.zeros(11), 0.01), np.random.default_rng(0), 4000)
    share = float(np.isneginf(resampled.statistics).mean())
    assert share == pytest.approx((11 / 12) ** 12, abs=0.03)
    assert resampled.p_below(0.05) >= share
