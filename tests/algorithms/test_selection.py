"""Which records an active learner asks about: against a slow greedy choice, clusters and known margins."""

from __future__ import annotations

import numpy as np

from threatloop.algorithms.selection import choose, k_center, most_uncertain


def test_k_center_reaches_every_cluster_before_it_returns_to_one() -> None:
    rng = np.random.default_rng(0)
    middles = 10 * rng.standard_normal((12, 5))
    points = np.concatenate([middle + 0.01 * rng.standard_normal((40, 5)) for middle in middles])
    chosen = k_center(points, np.empty((0, 5)), 12)
    assert set(chosen // 40) == set(range(12))
    known = middles[:7]
    assert set(k_center(points, known, 5) // 40) == set(range(7, 12))


def test_k_center_is_the_slow_greedy_choice() -> None:
    rng = np.random.default_rng(1)
    points, centres = rng.random((60, 3)), rng.random((300, 3))
    held, slow = list(centres), []
    for _ in range(10):
        gaps = [min(float(np.linalg.norm(point - centre)) for centre in held) for point in points]
        slow.append(int(np.argmax(gaps)))
        held.append(points[slow[-1]])
    assert k_center(points, centres, 10).tolist() == slow


def test_uncertain_records_have_the_smallest_margin_and_both_choose_among_them() -> None:
    log_probs = np.log(np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.4, 0.35, 0.25], [0.34, 0.33, 0.33]]) + 1e-12)
    assert most_uncertain(log_probs, 3).tolist() == [1, 3, 2]
    assert choose("uncertainty", log_probs, log_probs[:0], 1).tolist() == [1]
    assert set(choose("both", log_probs, log_probs[:0], 1)) <= {1, 2, 3}
    assert len(set(choose("kcenter", log_probs, log_probs[:1], 4))) == 4


def test_identical_records_are_still_chosen_once_each() -> None:
    assert sorted(k_center(np.ones((5, 2)), np.ones((1, 2)), 5)) == [0, 1, 2, 3, 4]
