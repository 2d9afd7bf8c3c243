"""Means over seeds where the seeds hardly differ: the records behind them say what their spread cannot."""

from __future__ import annotations

import pytest

from threatloop.analysis.estimates import estimate
from threatloop.core.seeds import Streams
from threatloop.numerics.intervals import Interval, clustered_binomial

SEEDS = range(12)
TRIALS = dict.fromkeys(SEEDS, 50)


def ends(values: dict[int, float], trials: dict[int, int] | None, unit: str = "rate") -> tuple[float, float]:
    found = estimate(values, unit, Streams(0), "figure", trials).interval
    assert isinstance(found, Interval), found
    return found.low, found.high


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_a_rate_that_every_seed_repeats_takes_the_interval_of_its_trials(rate: float) -> None:
    values = dict.fromkeys(SEEDS, rate)
    exact = clustered_binomial([round(50 * rate)] * 12, [50] * 12)
    assert isinstance(exact, Interval)
    assert ends(values, TRIALS) == (exact.low, exact.high)
    low, high = ends(values, None)
    assert low <= exact.low
    assert exact.high <= high
    assert high - low > 2 * (exact.high - exact.low)


def test_what_is_no_share_of_trials_keeps_the_interval_over_seeds() -> None:
    constant = dict.fromkeys(SEEDS, 0.513)  # no whole number of 50
    assert ends(constant, TRIALS) == ends(constant, None)
    # One decision of a gate per seed: nothing stands behind it but the seed.
    gate = dict.fromkeys(SEEDS, 1.0)
    assert ends(gate, dict.fromkeys(SEEDS, 1)) == ends(gate, None)


def test_seeds_that_differ_are_judged_by_their_spread() -> None:
    values = {seed: 0.4 + 0.02 * (seed % 6) for seed in SEEDS}
    assert ends(values, TRIALS) == ends(values, None)
