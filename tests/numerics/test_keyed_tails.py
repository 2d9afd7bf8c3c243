from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from threatloop.numerics.keyed_tails import bits_tail, phase_tail, phase_tails, sign_tail


def test_signs_agree_with_every_choice_of_signs() -> None:
    weights = np.random.default_rng(0).random(10)
    sums = np.array([np.dot(signs, weights) for signs in product((-1, 1), repeat=10)])
    for observed in np.quantile(sums, [0.3, 0.9, 0.99, 0.999]):
        assert sign_tail(weights, observed) == pytest.approx((sums >= observed - 1e-9).mean(), abs=2e-3)


@pytest.mark.parametrize("k", [4, 9, 30])
def test_phases_agree_with_draws(k: int) -> None:
    rng = np.random.default_rng(k)
    weights = rng.random(k)
    sums = np.cos(2 * np.pi * rng.random((200_000, k))) @ weights
    for rate in (0.5, 0.1, 0.01):
        assert phase_tail(weights, float(np.quantile(sums, 1 - rate))) == pytest.approx(rate, rel=0.1)


def test_tails_far_out_are_tiny_positive_and_fall() -> None:
    weights = np.ones(30)
    assert sign_tail(weights, 30.0) == pytest.approx(2.0**-30, rel=0.01)
    found = [phase_tail(weights, value) for value in (10.0, 20.0, 25.0, 29.0)]
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 1e-12


def test_nothing_to_see_is_no_evidence() -> None:
    assert sign_tail(np.zeros(5), 0.0) == 1.0


def test_many_at_once_agree_with_one_at_a_time() -> None:
    observed = np.array([-3.0, 0.0, 2.5, 6.0])
    single = [phase_tail(np.ones(9), float(value)) for value in observed]
    assert phase_tails(9, observed) == pytest.approx(single, rel=0.1)


def test_bits_are_binomial() -> None:
    assert bits_tail(np.array([0, 10]), 10).tolist() == pytest.approx([1.0, 2.0**-10])
