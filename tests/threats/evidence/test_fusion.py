"""The fusion finds which signal tells, against a slow oracle; ranks fuse as published."""

from __future__ import annotations

import numpy as np

from threatloop.threats.evidence.fusion import Fusion, fused_ranks, learn


def test_learns_the_signal_that_tells_and_not_the_noise() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 400)
    telling, noise = rng.normal(size=(400, 12)), rng.normal(size=(400, 12))
    telling[np.arange(400), labels] += 2
    fusion = learn({"telling": telling, "noise": noise}, labels)
    weights = dict(zip(fusion.names, fusion.weights, strict=True))
    # The log-likelihood ratio of a unit normal shifted by 2 has slope 2, less what the penalty takes.
    assert 1.3 < weights["telling"] < 2.2
    assert abs(weights["noise"]) < 0.2
    chances = fusion.probabilities({"telling": telling, "noise": noise})
    assert np.allclose(chances.sum(1), 1)
    assert (chances.argmax(1) == labels).mean() > 0.5


def test_probabilities_are_the_softmax_of_the_weighted_sum() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    found = Fusion(("one", "other"), np.array([2.0, -1.0])).probabilities({"other": other, "one": one})
    for row in range(3):
        powers = [np.exp(2 * one[row, t] - other[row, t]) for t in range(4)]
        assert np.allclose(found[row], np.array(powers) / sum(powers))


def test_large_scores_do_not_overflow() -> None:
    found = Fusion(("one",), np.array([1.0])).probabilities({"one": np.array([[1e4, -1e4, 0.0]])})
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_fused_ranks() -> None:
    found = fused_ranks([np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 5.0, 2.0]])])
    expected = [[(1 + 61 / 63) / 2, (61 / 62 + 1) / 2, (61 / 63 + 61 / 62) / 2]]
    assert np.allclose(found, expected)
