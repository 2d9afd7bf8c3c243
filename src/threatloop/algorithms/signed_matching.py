"""Which element is which, and with what sign: matching two sets of elements by how they vary together.

Quadratic assignment over signed permutations by Frank and Wolfe's method, after Vogelstein et al. 2015, "Fast
approximate quadratic programming for graph matching", PLOS ONE 10(4); the extension to signs is ours: over signed
permutations a linear objective G is largest at the Hungarian assignment of |G| with the signs of G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Matrix = npt.NDArray[np.float64]

ITERATIONS = 60
FLAT = 1e-7
"""Relative gain of a step below which the search ends."""


@dataclass(frozen=True, eq=False)
class Graphs:
    """Relations among d known and among d coded elements, in corresponding pairs.

    Attributes:
        known: (g, d, d) relations of the known elements; need not be symmetric.
        coded: (g, d, d) the same of the coded ones.
        single: (d, d) how well known element i and coded element j agree by themselves, negative where by their
            negatives.
    """

    known: Matrix
    coded: Matrix
    single: Matrix

    def value(self, p: Matrix) -> float:
        """Agreement under the signed assignment ``p`` (d, d), known by coded."""
        moved = p @ self.coded @ p.T
        return float((self.known * moved).sum() + (self.single * p).sum())

    def gradient(self, p: Matrix) -> Matrix:
        forth = self.known @ p @ self.coded.transpose(0, 2, 1)
        back = self.known.transpose(0, 2, 1) @ p @ self.coded
        return np.asarray((forth + back).sum(axis=0) + self.single)


def signed_assignment(score: Matrix) -> Matrix:
    """The signed permutation with the largest inner product with ``score`` (d, d)."""
    rows, columns = linear_sum_assignment(-np.abs(score))
    p = np.zeros_like(score)
    p[rows, columns] = np.where(score[rows, columns] < 0, -1.0, 1.0)
    return p


def match(graphs: Graphs, starts: Sequence[Matrix]) -> tuple[Matrix, float]:
    """The best signed permutation (d, d) over several starts, and its value. At least one start."""
    found = [_frank_wolfe(graphs, start) for start in starts]
    values = [graphs.value(p) for p in found]
    best = int(np.argmax(values))
    return found[best], values[best]


def random_starts(d: int, n: int, single: Matrix, rng: np.random.Generator) -> list[Matrix]:
    """The assignment by single elements, and ``n`` random signed ones half way to it."""
    own = signed_assignment(single)
    return [own] + [0.5 * own + 0.5 * signed_assignment(rng.standard_normal((d, d))) for _ in range(n)]


def _frank_wolfe(graphs: Graphs, p: Matrix) -> Matrix:
    value = graphs.value(p)
    for _ in range(ITERATIONS):
        step = signed_assignment(graphs.gradient(p)) - p
        # Along the step the value is a parabola: its slope is the gradient's, its curvature the step's own pairs.
        slope = float((graphs.gradient(p) * step).sum())
        curve = float((graphs.known * (step @ graphs.coded @ step.T)).sum())
        length = 1.0 if curve >= 0 else min(1.0, -slope / (2 * curve))
        p = p + length * step
        new = graphs.value(p)
        if new - value <= FLAT * max(abs(value), 1e-12):
            break
        value = new
    return signed_assignment(p)
