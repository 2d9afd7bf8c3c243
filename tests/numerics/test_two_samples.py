"""Two independent samples, against scipy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from threatloop.numerics.intervals import Interval
from threatloop.numerics.two_samples import permutation_p, welch, welch_equivalence
from threatloop.numerics.undefined import Undefined


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 12), rng.normal(0.5, 3, 20)
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    found = welch(a, b)
    assert isinstance(found, Interval)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_equivalence_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 0.02, 12), rng.normal(0.01, 0.03, 15)
    above = stats.ttest_ind(b, a - 0.05, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(b, a + 0.05, equal_var=False, alternative="less").pvalue
    assert welch_equivalence(a, b, 0.05) == pytest.approx(max(above, below))


def test_permutation_holds_its_level_with_unequal_spreads_and_finds_a_shift() -> None:
    rng, rejected, found = np.random.default_rng(2), 0, 0
    for _ in range(200):
        a, b = rng.normal(0, 1, 12), rng.normal(0, 4, 24)
        p, q = permutation_p(a, b, rng, 499), permutation_p(a, b[:12] / 4 + 1.5, rng, 499)
        assert not isinstance(p, Undefined)
        assert not isinstance(q, Undefined)
        rejected += p <= 0.05
        found += q <= 0.05
    assert rejected / 200 <= 0.095
    assert found / 200 >= 0.8


def test_samples_without_spread() -> None:
    same, other = [1.0] * 12, [0.0] * 12
    assert isinstance(welch(same, other), Undefined)
    assert isinstance(welch_equivalence(same, other, 0.05), Undefined)
    assert permutation_p(same, same, np.random.default_rng(0)) == 1.0
    found = permutation_p(same, other, np.random.default_rng(0))
    assert not isinstance(found, Undefined)
    assert found < 0.001
    assert isinstance(permutation_p([1.0], [2.0, 3.0], np.random.default_rng(0)), Undefined)
