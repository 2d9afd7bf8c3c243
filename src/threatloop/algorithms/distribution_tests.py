"""In which of two worlds was a model trained? Compared with models from both, by their answers on the same records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RIDGES = (0.01, 0.1, 1.0, 10.0)
FLOOR = -10.0
LEAST_SPREAD = 1e-9
STRANGENESS = 2.0
"""By how much the victim lies further from the shadow models than these from one another: they share the attacker's
records. Without it, a weak signal is taken for certain (log loss 1.1 where .7 of the answers are right)."""


@dataclass(frozen=True)
class Compared:
    """Scores of one test, larger for world 1: of every shadow model judged by the others, and of the victim."""

    shadows: Floats
    victim: float

    def separation(self, world: Bools) -> float:
        """Distance of the two worlds' means in standard deviations within; ≤ 0 where the test is blind."""
        gap = float(self.shadows[world].mean() - self.shadows[~world].mean())
        return gap / max(_spread(self.shadows, world), LEAST_SPREAD)

    def probability(self, world: Bools) -> float:
        """Of world 1 for the victim, both equally likely before: Student's t in each world, .5 from a blind test.

        One common spread, and the heavy tails that belong to an estimate from so few models.
        """
        if self.separation(world) <= 0:
            return 0.5
        spread = max(_spread(self.shadows, world), LEAST_SPREAD)
        degrees = max(1, len(world) - 2)
        scale = STRANGENESS * spread * np.sqrt(1 + 2 / len(world))
        logs = [
            float(student.logpdf((self.victim - self.shadows[side].mean()) / scale, degrees))
            for side in (~world, world)
        ]
        return float(1 / (1 + np.exp(np.clip(logs[0] - logs[1], -700, 700))))


def meta_classifier(shadows: Floats, victim: Floats, world: Bools) -> Compared:
    """Ridge regression of the world on all answers, shadow models scored with themselves left out.

    Args:
        shadows: log-probabilities (K, records, classes).
        victim: the same of the victim, (records, classes).
        world: (K,).
    """
    rows = _shape(shadows)
    mean = rows.mean(axis=0)
    rows, own = rows - mean, _shape(victim[None])[0] - mean
    scale = max(float((rows**2).sum()) / len(world), LEAST_SPREAD)
    kernel, across = rows @ rows.T / scale + 1.0, rows @ own / scale + 1.0
    target = np.where(world, 1.0, -1.0)
    found = []
    for ridge in RIDGES:
        inverse = np.linalg.inv(kernel + ridge * np.eye(len(world)))
        weights = inverse @ target
        left_out = target - weights / np.diag(inverse)
        found.append(Compared(left_out, float(across @ weights)))
    return max(found, key=lambda one: one.separation(world))


def _shape(answers: Floats) -> Floats:
    """Log-odds of each model, centred over the classes: (models, records · classes)."""
    odds = np.maximum(answers, FLOOR)
    return np.asarray((odds - odds.mean(axis=2, keepdims=True)).reshape(len(answers), -1))


def divergence_test(shadows: Floats, victim: Floats, world: Bools) -> Compared:
    """Mean KL divergence to the models of world 0 less that to those of world 1 (Suri, Evans 2022, section 4.2).

    Args as in `meta_classifier`.
    """
    logs = np.maximum(shadows.reshape(len(world), -1), FLOOR)
    own = np.maximum(victim.ravel(), FLOOR)
    n = len(victim)
    between = _divergences(logs, logs) / n
    np.fill_diagonal(between, np.nan)
    found = np.nanmean(between[:, ~world], axis=1) - np.nanmean(between[:, world], axis=1)
    far = _divergences(own[None], logs)[0] / n
    return Compared(found, float(far[~world].mean() - far[world].mean()))


def _divergences(a: Floats, b: Floats) -> Floats:
    p = np.exp(a)
    return np.asarray((p * a).sum(axis=1)[:, None] - p @ b.T)


def _spread(scores: Floats, world: Bools) -> float:
    squares = sum(float(((scores[side] - scores[side].mean()) ** 2).sum()) for side in (world, ~world))
    return float(np.sqrt(squares / max(1, len(world) - 2)))
