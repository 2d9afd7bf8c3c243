"""FAB: walks along the decision boundary towards the record, by projections onto its linear approximation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from threatloop.algorithms.hyperplane import to_hyperplane
from threatloop.modality.space import Norm

ALPHA_MAX, ETA, BETA = 0.1, 1.05, 0.9
SEARCH_STEPS = 3
PUSH = 1e-4
"""Share of the distance by which the final search steps over the boundary: a point on it is on either side, by
rounding."""
Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Points (m, d) and the record (m,) that each belongs to, to logits (m, classes), differentiable."""
Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class Best:
    """The nearest adversarial point of each record so far.

    Attributes:
        points: (n, d); the record itself until one was found.
        distance: (n,), infinite until one was found.
    """

    points: torch.Tensor
    distance: torch.Tensor

    def take(self, rows: torch.Tensor, points: torch.Tensor, distance: torch.Tensor) -> None:
        """Keep those of these points that are nearer than what is known of their records."""
        nearer = distance < self.distance[rows]
        self.points[rows[nearer]] = points[nearer]
        self.distance[rows[nearer]] = distance[nearer]


def length(v: torch.Tensor, norm: Norm) -> torch.Tensor:
    """‖v‖ of each row (n, d)."""
    return v.abs().amax(dim=1) if norm == "linf" else v.norm(dim=1)


class Fab:
    """Fast adaptive boundary attack.

    Croce & Hein 2020, "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack", arXiv
    1907.02044, algorithm 1, with its α_max = 0.1, η = 1.05, β = 0.9 and final search of 3 steps.

    Args:
        forward: the model; asked once per record and step.
        x: (n, d) records.
        y: (n,) their labels.
        low, high: broadcast to (n, d).
        norm: of the distance that is made small.
        generator: draws the restarts.
        distance: what counts, of points (m, d) and their records (m,), where it is not simply that of the norm.
    """

    def __init__(
        self,
        forward: Forward,
        x: torch.Tensor,
        y: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        norm: Norm,
        generator: torch.Generator,
        distance: Distance | None = None,
    ) -> None:
        self._forward, self._x, self._y, self._norm = forward, x, y, norm
        self._low, self._high = low.expand_as(x), high.expand_as(x)
        self._generator, self._distance = generator, distance or self._plain
        self.best = Best(x.clone(), torch.full((len(x),), torch.inf))

    def run(self, rows: torch.Tensor, steps: int, *, rank: int = 0, restart: bool = False, radius: float = 1.0) -> None:
        """One run on these records.

        Args:
            rows: records to work on.
            steps: ≥ 1.
            rank: 0 goes for the nearest class at each step; k ≥ 1 for the class with the k-th largest logit at the
                record among the wrong ones (FAB-T).
            restart: begin at a random point instead of at the record.
            radius: of that random start where no adversarial point is known yet.
        """
        x = self._x[rows]
        z = self._random_start(rows, radius) if restart else x.clone()
        target: torch.Tensor | None = None
        for step in range(steps + 1):
            logits, gap, normal, target = self._linearise(z, rows, target, rank)
            wrong = logits.argmax(dim=1) != self._y[rows]
            self.best.take(rows[wrong], z[wrong], self._distance(z[wrong], rows[wrong]))
            z = torch.where(wrong[:, None], (1 - BETA) * x + BETA * z, z)
            if step == steps:
                return
            # The plane was laid through the point that was asked; drawn back towards the record it serves as well as
            # another query would, since β is near 1.
            z = self._walk(z, rows, normal, gap)

    def search(self) -> None:
        """Bring the points found nearer by secant steps on the line to their records."""
        rows = self.best.distance.isfinite().nonzero()[:, 0]
        rows = rows[self.best.distance[rows] > 0]
        if not len(rows):
            return
        x, near, far = self._x[rows], torch.zeros(len(rows)), torch.ones(len(rows))
        direction = self.best.points[rows] - x
        with torch.no_grad():
            at_near, at_far = (self._margin(x + at[:, None] * direction, rows) for at in (near, far))
            for _ in range(SEARCH_STEPS):
                secant = near + (far - near) * at_near / (at_near - at_far).clamp_min(1e-12)
                mid = torch.where(at_near > at_far, secant, (near + far) / 2) * (1 + PUSH)
                mid = torch.maximum(torch.minimum(mid, far), near)
                points = x + mid[:, None] * direction
                found = self._margin(points, rows)
                wrong = found < 0
                self.best.take(rows[wrong], points[wrong], self._distance(points[wrong], rows[wrong]))
                far, at_far = torch.where(wrong, mid, far), torch.where(wrong, found, at_far)
                near, at_near = torch.where(wrong, near, mid), torch.where(wrong, at_near, found)

    def _plain(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return length(points - self._x[rows], self._norm)

    def _margin(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logits = self._forward(points, rows)
        own = self._y[rows][:, None]
        return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(dim=1)

    def _linearise(
        self, z: torch.Tensor, rows: torch.Tensor, target: torch.Tensor | None, rank: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Logits, and the plane f_s − f_y = 0 around z: offset (m,) and normal (m, d); a target class stays fixed."""
        z = z.detach().requires_grad_()
        logits = self._forward(z, rows)
        own = self._y[rows][:, None]
        differences = logits - logits.gather(1, own)
        if rank:
            if target is None:
                others = logits.detach().scatter(1, own, -torch.inf)
                target = others.argsort(dim=1, descending=True)[:, rank - 1]
            chosen = differences.gather(1, target[:, None])[:, 0]
            (normal,) = torch.autograd.grad(chosen.sum(), z)
        else:
            chosen, normal = self._nearest_plane(differences, z, own)
        z, chosen = z.detach(), chosen.detach()
        return logits.detach(), chosen - (normal * z).sum(dim=1), normal, target

    def _nearest_plane(
        self, differences: torch.Tensor, z: torch.Tensor, own: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the planes to all other classes the nearest: its difference (m,) and normal (m, d)."""
        best = torch.full((len(z),), torch.inf)
        chosen, normal = torch.zeros(len(z)), torch.zeros_like(z)
        classes = differences.shape[1]
        for label in range(classes):
            column = differences[:, label]
            (gradient,) = torch.autograd.grad(column.sum(), z, retain_graph=label < classes - 1)
            dual = gradient.abs().sum(dim=1) if self._norm == "linf" else gradient.norm(dim=1)
            far = column.detach().abs() / dual.clamp_min(1e-12)
            nearer = (far < best) & (own[:, 0] != label)
            best = torch.where(nearer, far, best)
            chosen = torch.where(nearer, column.detach(), chosen)
            normal = torch.where(nearer[:, None], gradient, normal)
        return chosen, normal

    def _walk(self, z: torch.Tensor, rows: torch.Tensor, normal: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """One step: towards the projection of the point, biased towards that of the record itself."""
        x, low, high = self._x[rows], self._low[rows], self._high[rows]
        both = to_hyperplane(
            torch.cat([z, x]), normal.repeat(2, 1), offset.repeat(2), low.repeat(2, 1), high.repeat(2, 1), self._norm
        )
        step, from_record = both[: len(z)] - z, both[len(z) :] - x
        size, other = length(step, self._norm), length(from_record, self._norm)
        share = (size / (size + other).clamp_min(1e-12)).clamp(max=ALPHA_MAX)[:, None]
        moved = (1 - share) * (z + ETA * step) + share * (x + ETA * from_record)
        return torch.maximum(torch.minimum(moved, high), low)

    def _random_start(self, rows: torch.Tensor, radius: float) -> torch.Tensor:
        """A random point of the box at half the best distance so far, at most half of ``radius``."""
        x = self._x[rows]
        reach = self.best.distance[rows].clamp(max=radius)[:, None] / 2
        if self._norm == "linf":
            away = (2 * torch.rand(x.shape, generator=self._generator) - 1).to(x)
            away = away / away.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
        else:
            away = torch.randn(x.shape, generator=self._generator).to(x)
            away = away / away.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return torch.maximum(torch.minimum(x + reach * away, self._high[rows]), self._low[rows])
