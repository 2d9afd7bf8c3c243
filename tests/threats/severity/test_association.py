"""Correlations with intervals over groups: what they cover, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from threatloop.core.seeds import Streams
from threatloop.threats.severity import association
from threatloop.threats.severity.association import correlation, difference, effective, spearman
from threatloop.threats.severity.estimate import Estimate, Missing

STREAMS = Streams(0, ("test",))
CUTS = (-2.2, -0.35, 0.95)


def world(sizes: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores and levels that correlate, both more alike within a group."""
    of_group = np.repeat(np.arange(len(sizes)), sizes)
    scores = 0.7 * rng.normal(size=len(sizes))[of_group] + rng.normal(size=len(of_group))
    hidden = 0.45 * scores + 0.5 * rng.normal(size=len(sizes))[of_group] + 0.8 * rng.normal(size=len(of_group))
    return scores, np.digitize(hidden, CUTS)


@pytest.mark.slow
def test_the_interval_covers_with_groups_as_uneven_as_the_study_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "RESAMPLES", 400)
    sizes = np.sort(np.concatenate([[184, 45, 38, 30, 27, 24, 22, 22, 17, 16], np.full(60, 4), np.ones(158, int)]))
    rng = STREAMS.numpy("coverage")
    truth = spearman(*world(rng.choice(sizes, size=20_000), rng))
    hits = 0
    for number in range(100):
        drawn = rng.choice(sizes, size=len(sizes))
        scores, levels = world(drawn, rng)
        of_group = np.repeat(np.arange(len(drawn)), drawn)
        found = correlation(scores, levels, of_group, STREAMS.child(str(number)))
        assert isinstance(found, Estimate)
        hits += found.low <= truth <= found.high
    assert hits >= 86


def test_copies_of_a_row_add_nothing_when_they_are_one_group() -> None:
    scores, levels = world(np.ones(60, dtype=np.int64), STREAMS.numpy("copies"))
    alone = correlation(scores, levels, np.arange(60), STREAMS)
    copied = correlation(np.repeat(scores, 5), np.repeat(levels, 5), np.repeat(np.arange(60), 5), STREAMS)
    naive = correlation(np.repeat(scores, 5), np.repeat(levels, 5), np.arange(300), STREAMS)
    widths = [one.high - one.low for one in (alone, copied, naive) if isinstance(one, Estimate)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] < 0.6 * widths[0]


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    rng = STREAMS.numpy("paired")
    scores, levels = world(np.full(40, 8), rng)
    of_group = np.repeat(np.arange(40), 8)
    found = difference(scores + 0.1 * rng.normal(size=320), scores, levels, of_group, STREAMS)
    alone = correlation(scores, levels, of_group, STREAMS)
    assert isinstance(found, Estimate)
    assert isinstance(alone, Estimate)
    assert found.low <= 0 <= found.high
    assert found.high - found.low < 0.3 * (alone.high - alone.low)


def test_what_does_not_vary_is_not_computed() -> None:
    levels = np.array([0, 1, 2, 3, 0, 1])
    few = correlation(np.arange(6.0), levels, np.array([0, 0, 1, 1, 2, 2]), STREAMS)
    assert isinstance(few, Missing)
    assert "3 groups" in few.because
    same = correlation(np.arange(6.0), np.ones(6, dtype=np.int64), np.arange(6), STREAMS)
    assert isinstance(same, Missing)
    assert spearman(np.zeros(6), levels) == 0.0


def test_effective_groups() -> None:
    assert effective(np.repeat(np.arange(8), 5)) == pytest.approx(8)
    assert effective(np.array([0] * 99 + [1])) < 1.1
