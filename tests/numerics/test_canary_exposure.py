"""Exposure: against counting, against the share of all secrets that are likelier, and its rise with repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from threatloop.numerics.canary_exposure import by_model, by_rank, per_doubling, skew_normal_cdf
from threatloop.numerics.intervals import Interval
from threatloop.numerics.undefined import Undefined


def test_rank_is_counted_among_the_others() -> None:
    rng = np.random.default_rng(0)
    losses, others = rng.normal(size=20).round(1), rng.normal(size=(20, 15)).round(1)
    others[rng.random(others.shape) < 0.2] = np.nan
    for found, loss, row in zip(by_rank(losses, others), losses, others, strict=True):
        asked = [float(one) for one in row if not math.isnan(one)]
        rank = 1 + sum(one < loss for one in asked) + sum(one == loss for one in asked) / 2
        assert found == pytest.approx(math.log2(len(asked) + 1) - math.log2(rank))


def test_best_and_worst_rank() -> None:
    np.testing.assert_allclose(by_rank(np.array([0.0, 9.0]), np.tile(np.arange(1.0, 8.0), (2, 1))), [3.0, 0.0])


@pytest.mark.parametrize("skewness", [-0.8, -0.3, 0.0, 0.5, 0.9])
def test_the_distribution_has_the_moments_that_it_is_made_of(skewness: float) -> None:
    grid = np.linspace(-9, 9, 40_001)
    middle, mass = (grid[1:] + grid[:-1]) / 2, np.diff(skew_normal_cdf(grid, skewness))
    mean = float((middle * mass).sum())
    deviation = math.sqrt(float((middle**2 * mass).sum()) - mean**2)
    assert mean == pytest.approx(0.0, abs=1e-4)
    assert deviation == pytest.approx(1.0, abs=1e-4)
    assert float((middle**3 * mass).sum()) == pytest.approx(skewness, abs=1e-3)


def test_without_skewness_it_is_the_normal_distribution() -> None:
    z = np.linspace(-5, 2, 20)
    np.testing.assert_allclose(skew_normal_cdf(z, 0.0), stats.norm.cdf(z), rtol=1e-6)


def test_the_model_finds_the_share_of_all_secrets_that_are_likelier() -> None:
    """Against an exhaustive ranking of a million secrets, from 60 of them."""
    rng = np.random.default_rng(1)
    everything = stats.gamma.rvs(8.0, size=1_000_000, random_state=rng)
    canaries = np.quantile(everything, [0.5, 0.1, 0.01, 0.001])
    exact = -np.log2([0.5, 0.1, 0.01, 0.001])
    found = [by_model(canaries, rng.choice(everything, (4, 60)), len(everything)) for _ in range(40)]
    bits = np.array([one for one in found if not isinstance(one, Undefined)])
    assert len(bits) == 40
    np.testing.assert_allclose(np.median(bits, axis=0), exact, rtol=0.2)


@pytest.mark.parametrize("number", [5, 10, 40])
def test_secrets_never_planted_have_the_exposure_of_chance(number: int) -> None:
    """−log2 of a uniform rank is log2(e) = 1.44 bits on average."""
    rng = np.random.default_rng(2)
    losses, others = rng.normal(size=4000), rng.normal(size=(4000, number))
    modelled = by_model(losses, others, 10**9)
    assert not isinstance(modelled, Undefined)
    assert modelled.mean() == pytest.approx(math.log2(math.e), abs=0.1)
    ranks = np.arange(1, number + 2)
    expected = float(np.mean(np.log2(number + 1) - np.log2(ranks)))
    assert by_rank(losses, others).mean() == pytest.approx(expected, abs=0.1)


def test_sharing_the_other_secrets_does_not_shift_exposure() -> None:
    """Where a model finds one secret harder than another whatever the canary, as a model that saw none of them does."""
    rng, bits = np.random.default_rng(4), list[float]()
    for _ in range(300):
        hard = rng.normal(size=20)
        losses, others = hard[:10] + 0.1 * rng.normal(size=10), hard[None, 10:] + 0.1 * rng.normal(size=(10, 10))
        found = by_model(losses, others, 10**9)
        assert not isinstance(found, Undefined)
        bits.append(float(found.mean()))
    assert np.mean(bits) == pytest.approx(math.log2(math.e), abs=0.15)


def test_bits_are_kept_within_the_number_of_secrets() -> None:
    bits = by_model(np.array([-1e9, 1e9]), np.tile(np.arange(10.0), (2, 1)), 1024)
    assert not isinstance(bits, Undefined)
    np.testing.assert_allclose(bits, [10.0, 0.0], atol=1e-9)


def test_what_cannot_be_modelled_says_why() -> None:
    few = by_model(np.zeros(1), np.array([[1.0, 2.0, np.nan]]), 10)
    same = by_model(np.zeros(1), np.ones((1, 9)), 10)
    assert isinstance(few, Undefined)
    assert "fewer than 4" in str(few)
    assert isinstance(same, Undefined)
    assert "equally likely" in str(same)


def test_rise_per_doubling_with_its_interval() -> None:
    often = np.repeat([1, 4, 16], 8)
    noise = np.random.default_rng(3).normal(scale=0.5, size=24)
    found = per_doubling(2.0 + 1.5 * np.log2(often) + noise, often)
    assert isinstance(found, Interval)
    assert found.low < 1.5 < found.high
    slope = stats.linregress(np.log2(often), 2.0 + 1.5 * np.log2(often) + noise)
    half = stats.t.ppf(0.975, 22) * slope.stderr
    np.testing.assert_allclose([found.low, found.high], [slope.slope - half, slope.slope + half])
    flat = per_doubling(noise, often)
    assert isinstance(flat, Interval)
    assert flat.low < 0 < flat.high
    assert isinstance(per_doubling(noise, np.full(24, 4)), Undefined)
