"""Moving away from a model's decision boundaries with nothing but its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Ask = Callable[[Floats, Labels], Labels]
"""Coordinates (m, r) and the target (m,) that each belongs to → labels (m,) that the model gives them."""


@dataclass(frozen=True)
class Walk:
    """How to walk.

    Attributes:
        directions: points asked on each sphere, ≥ 2.
        reach: coordinates stay in a ball of this radius.
        first: radius of the first spheres.
        growth: factor on a sphere's radius once all its points have the label, > 1.
    """

    directions: int
    reach: float
    first: float
    growth: float


class Repulsion:
    """Points that walk to where the largest sphere around them is of their label.

    Points of the sphere that have another label push the centre away from themselves. Where none has, the centre is
    remembered and the sphere grows. All targets take each step together.

    Kahla, Chen, Just, Jia 2022, "Label-Only Model Inversion Attacks via Boundary Repulsion", arXiv 2203.05212,
    section 4 and algorithm 1.

    Args:
        labels: (n,) label of each target.
        start: (n, r) coordinates to start from.
        walk: how.
        rng: draws the directions.

    Attributes:
        best: (n, r) the centre of each target's largest sphere so far; the start until there is one.
        radius: (n,) radius of that sphere, 0 until there is one.
    """

    def __init__(self, labels: Labels, start: Floats, walk: Walk, rng: np.random.Generator) -> None:
        self._labels, self._walk, self._rng = labels, walk, rng
        self._at = confined(start, walk.reach)
        self._sphere = np.full(len(labels), walk.first, np.float32)
        self.best, self.radius = self._at.copy(), np.zeros(len(labels), np.float32)

    def step(self, ask: Ask, left: int | None = None) -> float:
        """One step of all targets, which asks n × ``directions`` points, or ``left`` where that is fewer.

        Returns:
            The share of the asked points that have their target's label.
        """
        n, r = self._at.shape
        unit = self._rng.standard_normal((self._walk.directions, n, r), dtype=np.float32)
        unit /= np.linalg.norm(unit, axis=2, keepdims=True)
        points = (self._at + self._sphere[:, None] * unit).reshape(-1, r)
        whose = np.tile(np.arange(n), self._walk.directions)
        asked = len(points) if left is None else min(left, len(points))
        wrong = np.zeros(len(points), bool)
        wrong[:asked] = ask(points[:asked], whose[:asked]) != self._labels[whose[:asked]]
        share = 1 - float(wrong[:asked].mean())
        misses = wrong.reshape(-1, n)
        whole = np.arange(n) < n - (len(points) - asked) if asked > len(points) - n else np.zeros(n, bool)
        self._grow(~misses.any(axis=0) & whole)
        self._flee(-(misses[:, :, None] * unit).sum(axis=0))
        return share

    def _grow(self, clear: npt.NDArray[np.bool_]) -> None:
        better = clear & (self._sphere > self.radius)
        self.best[better], self.radius[better] = self._at[better], self._sphere[better]
        self._sphere[clear] *= self._walk.growth

    def _flee(self, push: Floats) -> None:
        length = np.linalg.norm(push, axis=1, keepdims=True)
        moved = self._at + self._sphere[:, None] / 3 * push / np.maximum(length, 1e-12)
        self._at = confined(moved, self._walk.reach)


def confined(z: Floats, reach: float) -> Floats:
    """Coordinates (n, r) pulled back into the ball of this radius."""
    length = np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(z / np.maximum(length / reach, 1), dtype=np.float32)
