"""Intervals against scipy, at their edges, and by a small coverage simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from threatloop.core.errors import InputError
from threatloop.numerics import intervals as iv
from threatloop.numerics.arrays import Bools, Floats
from threatloop.numerics.delong import delong_variance
from threatloop.numerics.means import skewness
from threatloop.numerics.medians import median_interval
from threatloop.numerics.undefined import Undefined


def ends(found: iv.Interval | Undefined) -> tuple[float, float]:
    assert isinstance(found, iv.Interval), found
    return found.low, found.high


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95]))
def test_binomial_intervals_match_scipy(counts: tuple[int, int], level: float) -> None:
    for method, ours in (("wilson", iv.wilson), ("exact", iv.clopper_pearson)):
        theirs = stats.binomtest(*counts).proportion_ci(level, method=method)
        assert ends(ours(*counts, level)) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=2, max_size=30))
def test_t_matches_scipy_and_is_undefined_without_spread(values: list[float]) -> None:
    if len(set(values)) == 1:
        assert isinstance(iv.paired_t(values), Undefined)
        return
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert ends(iv.mean_t(values, 0.9)) == pytest.approx((theirs.low, theirs.high))
    assert ends(iv.paired_t(values, 0.9)) == ends(iv.mean_t(values, 0.9))


def test_bootstrap_t_matches_a_plain_loop_with_the_same_draws() -> None:
    values = np.random.default_rng(1).exponential(size=14)
    drawn = np.random.default_rng(2).integers(0, 14, size=(14, 499)).T
    statistics = []
    for row in drawn:
        sample = values[row]
        statistics.append((sample.mean() - values.mean()) / (sample.std(ddof=1) / 14**0.5))
    low_t = np.quantile(statistics, 0.025, method="lower")
    high_t = np.quantile(statistics, 0.975, method="higher")
    error = values.std(ddof=1) / 14**0.5
    found = iv.bootstrap_t(values, np.random.default_rng(2), replicates=499)
    assert ends(found) == pytest.approx((values.mean() - high_t * error, values.mean() - low_t * error))


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_seed_mean_takes_t_when_symmetric_and_the_outer_ends_when_skewed(scale: float) -> None:
    symmetric = scale * stats.norm.ppf((np.arange(12) + 0.5) / 12)
    skewed = scale * stats.expon.ppf((np.arange(12) + 0.5) / 12)
    found = iv.seed_mean(symmetric, np.random.default_rng(0))
    assert isinstance(found, iv.Interval)
    assert found.method == "t"
    assert ends(found) == ends(iv.mean_t(symmetric))
    wide = ends(iv.seed_mean(skewed, np.random.default_rng(0)))
    parts = [ends(iv.mean_t(skewed)), ends(iv.bootstrap_t(skewed, np.random.default_rng(0)))]
    assert wide == (min(part[0] for part in parts), max(part[1] for part in parts))
    assert wide[1] > parts[0][1]


def test_a_rate_of_one_in_every_seed_is_not_certain() -> None:
    found = iv.seed_mean(np.ones(12), np.random.default_rng(0), bounds=(0, 1))
    assert ends(found) == pytest.approx(ends(iv.clopper_pearson(12, 12)))
    assert ends(found)[0] == pytest.approx(0.025 ** (1 / 12))
    assert isinstance(iv.seed_mean(np.ones(12), np.random.default_rng(0)), Undefined)


def test_one_odd_seed_among_equal_ones_is_bounded_by_its_share() -> None:
    values = np.append(np.zeros(11), 0.01)
    share = stats.binomtest(1, 12).proportion_ci(0.95, method="exact").high
    found = iv.seed_mean(values, np.random.default_rng(0), bounds=(-1, 1))
    assert ends(found) == pytest.approx((-share, share))
    assert isinstance(iv.seed_mean(values, np.random.default_rng(0)), Undefined)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=2, max_size=20), st.integers(0, 99))
def test_seed_mean_of_rates_holds_the_mean_and_stays_in_bounds(values: list[float], seed: int) -> None:
    low, high = ends(iv.seed_mean(values, np.random.default_rng(seed), bounds=(0, 1), replicates=199))
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1
    assert low < high


def plain_delong(scores: Floats, member: Bools) -> float:
    inside, outside = scores[member], scores[~member]
    kernel = np.array([[(a > b) + 0.5 * (a == b) for b in outside] for a in inside])
    return float(kernel.mean(1).var(ddof=1) / inside.size + kernel.mean(0).var(ddof=1) / outside.size)


def test_delong_variance_matches_the_plain_double_loop_with_ties() -> None:
    rng = np.random.default_rng(5)
    member = rng.random(60) < 0.4
    scores = np.round(rng.normal(size=60) + member, 1)
    assert delong_variance(scores, member) == pytest.approx(plain_delong(scores, member))
    low, high = ends(iv.auc_interval(scores, member))
    area = np.mean([[(a > b) + 0.5 * (a == b) for b in scores[~member]] for a in scores[member]])
    half = 1.959964 * plain_delong(scores, member) ** 0.5 / (area * (1 - area))
    logit = np.log(area / (1 - area))
    assert (low, high) == pytest.approx((1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))))


def test_perfect_separation_still_has_width() -> None:
    for sign, end in ((1.0, 1.0), (-1.0, 0.0)):
        low, high = ends(iv.auc_interval(sign * np.arange(20.0), np.arange(20) >= 10))
        assert end in (low, high)
        assert 0.1 < high - low < 0.4
    wide = ends(iv.auc_interval([0.0, 1.0], [0, 1]))
    assert wide[0] < 0.5
    assert isinstance(iv.auc_interval([0.0, 1.0], [1, 1]), Undefined)


def test_clustered_binomial_widens_with_spread_between_seeds() -> None:
    trials = np.full(12, 50)
    alike = ends(iv.clustered_binomial([25] * 12, trials))
    apart = ends(iv.clustered_binomial([0, 50] * 6, trials))
    seeds = ends(iv.clopper_pearson(6, 12))
    pooled = ends(iv.clopper_pearson(300, 600))
    assert apart[1] - apart[0] > 0.9 * (seeds[1] - seeds[0])
    assert 1.0 < (alike[1] - alike[0]) / (pooled[1] - pooled[0]) < 1.2
    assert ends(iv.clustered_binomial([50] * 12, trials))[0] == pytest.approx(0.9923, abs=1e-3)
    assert isinstance(iv.clustered_binomial([0], [0]), Undefined)
    assert isinstance(iv.clustered_binomial([3], [5]), Undefined)


def test_small_samples_and_bad_input() -> None:
    assert isinstance(iv.wilson(0, 0), Undefined)
    assert isinstance(iv.mean_t([1.0]), Undefined)
    assert isinstance(skewness([1.0, 2.0]), Undefined)
    with pytest.raises(InputError, match="entry 1 is nan"):
        iv.mean_t([1.0, float("nan")])
    with pytest.raises(InputError, match="0 <= successes <= n"):
        iv.wilson(3, 2)
    with pytest.raises(InputError, match="strictly between"):
        iv.mean_t([1.0, 2.0], 1.0)
    with pytest.raises(InputError, match="inside bounds"):
        iv.seed_mean([1.0, 2.0], np.random.default_rng(0), bounds=(0, 1))


@pytest.mark.parametrize(("name", "mean"), [("normal", 0.0), ("exponential", 1.0)])
def test_seed_mean_covers_at_twelve_seeds(name: str, mean: float) -> None:
    rng = np.random.default_rng(11)
    samples = rng.normal(size=(600, 12)) if name == "normal" else rng.exponential(size=(600, 12))
    hits = 0
    for sample in samples:
        low, high = ends(iv.seed_mean(sample, rng, replicates=299))
        hits += low <= mean <= high
    # 93-97 % with two standard errors of 600 draws on either side; t alone covers 90.5 % of exponential data.
    assert 0.91 < hits / 600 < 0.986


def test_a_median_lies_between_order_statistics_as_often_as_said() -> None:
    assert isinstance(median_interval([1.0, 2, 3, 4, 5]), Undefined)
    six = median_interval([6.0, 1, 3, 2, 4, 5])
    assert ends(six) == (1.0, 6.0)
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        low, high = ends(median_interval(rng.exponential(size=41)))
        hits += low <= np.log(2) <= high
    assert 0.93 <= hits / 400 <= 0.99
