"""The nearest adversarial example by a penalty: distance plus a constant times how right the victim is."""

from __future__ import annotations

from math import cos, pi

import torch

from threatloop.algorithms.hunt import Hunt, margin, surely_wrong

ADAM = (0.9, 0.999, 1e-8)
BISECTIONS = 8
"""Forward passes that pull each example back towards its record, at the end."""


class Penalty:
    """Minimises |u|² + c · max(z_y − max z_other + κ, 0) by Adam, u the change in units of ε, c by binary search.

    Carlini, Wagner 2017, arXiv 1608.04644, sections V and VI.

    Args:
        hunt: the chunk, with norm l2 and the whole range as its radius.
        places: m records that the victim gets right.
        gradient: of the victim's `margin` there, (m, ...).
        confidence: κ ≥ 0, lead of the wrong class that is sought, in logits.

    Attributes:
        margins: lead of the wrong class at the last step, (m,).
    """

    def __init__(self, hunt: Hunt, places: torch.Tensor, gradient: torch.Tensor, confidence: float) -> None:
        self.hunt, self.places, self.confidence = hunt, places, confidence
        self.ball, self.labels = hunt.ball.take(places), hunt.labels[places]
        self.margins = margin(hunt.first_logits[places], self.labels)
        slope = self._slope(gradient).flatten(1).norm(dim=1).clamp_min(1e-6)
        # Where the victim is linear, this constant makes the nearest point on its boundary the minimum.
        self.constant = 2 * (confidence - self.margins) / slope**2
        # No step is longer than a fifth of the way to that point: tiny distances need tiny steps.
        self.way = (confidence - self.margins) / slope
        self.nearest = torch.full((len(places),), torch.inf)
        self.low, self.high = torch.zeros(len(places)), torch.full((len(places),), torch.inf)

    def search(self, steps: int, learning_rate: float) -> None:
        """One constant: descend, then raise it where nothing was found, else lower it."""
        fooled = self._descend(steps, learning_rate)
        self.high = torch.where(fooled, torch.minimum(self.high, self.constant), self.high)
        self.low = torch.where(fooled, self.low, torch.maximum(self.low, self.constant))
        between = (self.low + self.high) / 2
        self.constant = torch.where(self.high.isfinite(), between, self.constant * 10)

    def pull_back(self) -> None:
        """Bisect between every record and its example, as far as the lead that is sought stays."""
        best = torch.from_numpy(self.hunt.trial.best[self.hunt.rows[self.places.numpy()]])
        near, far = torch.zeros(len(self.places)), torch.ones(len(self.places))
        for _ in range(BISECTIONS):
            share = (near + far) / 2
            points = self.ball.origin + (best - self.ball.origin) * _wide(share, best)
            x = self.ball.harden(points)
            logits = self.hunt.ask(x)
            wrong = surely_wrong(logits, self.labels) & (self._hinge(logits, self.labels) <= 0)
            self._keep(wrong, x)
            far, near = torch.where(wrong, share, far), torch.where(wrong, near, share)

    def _descend(self, steps: int, learning_rate: float) -> torch.Tensor:
        change = torch.zeros_like(self.ball.origin)
        first, second = torch.zeros_like(change), torch.zeros_like(change)
        fooled = torch.zeros(len(self.places), dtype=torch.bool)
        b1, b2, tiny = ADAM
        longest = torch.minimum(self.way, self.nearest).mul(0.2).clamp_max(learning_rate)
        for step in range(1, steps + 1):
            points = self.ball.project(self.ball.origin + self.ball.unit * change)
            x = self.ball.harden(points)
            logits, hinge, gradient = self.hunt.climb(x, self.labels, self._hinge)
            wrong = surely_wrong(logits, self.labels) & (hinge <= 0)
            fooled |= wrong
            self._keep(wrong, x)
            self.margins = margin(logits, self.labels)
            change = self._units(points)
            slope = 2 * change + self._slope(gradient) * _wide(self.constant, change)
            first = b1 * first + (1 - b1) * slope
            second = b2 * second + (1 - b2) * slope**2
            rate = _wide(longest, change) * (1 + cos(pi * (step - 1) / steps)) / 2
            change = change - rate * (first / (1 - b1**step)) / ((second / (1 - b2**step)).sqrt() + tiny)
        return fooled

    def _keep(self, wrong: torch.Tensor, x: torch.Tensor) -> None:
        """Offer examples that are nearer than those before."""
        distance = self._units(x).flatten(1).norm(dim=1)
        nearer = wrong & (distance < self.nearest)
        if bool(nearer.any()):
            self.nearest = torch.where(nearer, distance, self.nearest)
            rows = self.hunt.rows[self.places[nearer].numpy()]
            self.hunt.trial.offer(rows, x[nearer].detach().contiguous().numpy())

    def _slope(self, gradient: torch.Tensor) -> torch.Tensor:
        """A gradient at x as one in units of ε; 0 for what is no number."""
        return torch.where(self.ball.numeric, gradient * self.ball.unit, torch.zeros_like(gradient))

    def _hinge(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (self.confidence - margin(logits, labels)).clamp_min(0)

    def _units(self, points: torch.Tensor) -> torch.Tensor:
        """The change of the numbers in units of ε."""
        unit = self.ball.unit
        moved = points - self.ball.origin
        return torch.where(self.ball.numeric & (unit > 0), moved / unit.clamp_min(1e-12), torch.zeros_like(moved))


def _wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *([1] * (like.dim() - 1)))
