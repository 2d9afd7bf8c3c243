"""Square attack: random search with patches on the border of the ball, scores only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from threatloop.modality.patches import Patches
from threatloop.modality.space import Norm

Margin = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Points (m, d) and their records (m,) to the margin (m,): log p of the label minus the best other; < 0 is broken."""
HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Iterations, of 10,000, after which the patch's share of the record is halved."""


def share_at(step: int, steps: int, first: float) -> float:
    """The patch's share of a record at this step of so many: the paper's schedule, stretched to the budget."""
    at = step * 10_000 / steps
    return float(first / 2 ** sum(at > limit for limit in HALVED_AT))


@dataclass(frozen=True)
class Ball:
    """Where the points may lie: within ``radius`` of the record and within the bounds, which broadcast to (n, d)."""

    norm: Norm
    radius: float
    low: torch.Tensor
    high: torch.Tensor


class Square:
    """Random search of all records in step; a record that is broken is not asked again.

    Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack", arXiv 1912.00049, algorithms 1 to 3. One draw
    differs: a patch that would change nothing, which every second one does on grey images, is drawn with the opposite
    sign instead of being asked in vain.

    Args:
        margin: the model; m queries.
        x: (n, d) records, in units of the norm.
        ball: where the points may lie.
        patches: what the modality knows.
        rng: draws patches and signs.

    Attributes:
        best: (n, d) points with the smallest margin so far.
        margins: (n,) theirs; infinite where the record was not asked.
    """

    def __init__(self, margin: Margin, x: torch.Tensor, ball: Ball, patches: Patches, rng: np.random.Generator) -> None:
        self._margin, self._x, self._ball, self._patches, self._rng = margin, x, ball, patches, rng
        self._low, self._high = ball.low.expand_as(x), ball.high.expand_as(x)
        self.best, self.margins = x.clone(), torch.full((len(x),), torch.inf)

    def run(
        self, rows: torch.Tensor, queries: int, first_share: float, keep: Callable[[], None] = lambda: None
    ) -> None:
        """Search on these records.

        Args:
            rows: records.
            queries: ≥ 1 for each of them, its start included.
            first_share: of the record that the first patch covers, in (0, 1].
            keep: called after each step.

        Raises:
            BudgetExhausted: the service's limit came first.
        """
        self._accept(rows, self._start(rows))
        for step in range(1, queries):
            keep()
            rows = rows[self.margins[rows] >= 0]
            if not len(rows):
                return
            share = share_at(step - 1, queries, first_share)
            proposal = self._patched(rows, share) if self._ball.norm == "linf" else self._shifted(rows, share)
            self._accept(rows, proposal)
        keep()

    def _accept(self, rows: torch.Tensor, points: torch.Tensor) -> None:
        found = self._margin(points, rows)
        better = found < self.margins[rows]
        self.best[rows[better]], self.margins[rows[better]] = points[better], found[better]

    def _start(self, rows: torch.Tensor) -> torch.Tensor:
        x, n, radius = self._x[rows], len(rows), self._ball.radius
        if self._ball.norm == "linf":
            return self._inside(x + radius * torch.from_numpy(self._patches.stripes(n, self._rng)), rows)
        away = torch.from_numpy(self._patches.tiles(n, self._rng))
        return self._inside(x + radius * away / _norm(away), rows)

    def _patched(self, rows: torch.Tensor, share: float) -> torch.Tensor:
        """linf: one patch set to a corner of the ball, a sign for each channel."""
        cells, n = self._cells(rows, share), len(rows)
        signs = torch.from_numpy(self._rng.choice([-1.0, 1.0], size=cells.shape[:2]).astype(np.float32))
        flat, old, x = cells.reshape(n, -1), self.best[rows], self._x[rows]
        values = self._ball.radius * signs[:, :, None].expand(cells.shape).reshape(n, -1)
        tried = self._inside(old.scatter(1, flat, x.gather(1, flat) + values), rows)
        vain = (tried == old).all(dim=1)
        other = self._inside(old.scatter(1, flat, x.gather(1, flat) - values), rows)
        return torch.where(vain[:, None], other, tried)

    def _shifted(self, rows: torch.Tensor, share: float) -> torch.Tensor:
        """l2: mass moves from one patch into another, and what the ball had left goes there too."""
        into, source = (self._cells(rows, share, wide=True) for _ in range(2))
        n = len(rows)
        groups, cells = into.shape[1:]
        away = self.best[rows] - self._x[rows]
        union = torch.zeros(n, groups, away.shape[1], dtype=torch.bool)
        union.scatter_(2, into, value=True).scatter_(2, source, value=True)
        within = (away[:, None] * union).square().sum(dim=2)
        unused = (self._ball.radius**2 - away.square().sum(dim=1)).clamp_min(0)
        shape = torch.from_numpy(self._patches.profile(n, cells, self._rng))
        shape = shape / _norm(shape)
        signs = torch.from_numpy(self._rng.choice([-1.0, 1.0], size=(n, groups, 1)).astype(np.float32))
        held = away.gather(1, into.reshape(n, -1)).reshape(into.shape)
        held = held / held.norm(dim=2, keepdim=True).clamp_min(1e-12)
        fresh = signs * shape[:, None] + held
        fresh = torch.where(fresh.norm(dim=2, keepdim=True) < 1e-6, signs * shape[:, None], fresh)
        mass = (within + unused[:, None] / groups).sqrt()[:, :, None]
        fresh = fresh / fresh.norm(dim=2, keepdim=True) * mass
        away = away.scatter(1, source.reshape(n, -1), 0.0).scatter(1, into.reshape(n, -1), fresh.reshape(n, -1))
        away = away * (self._ball.radius / _norm(away)).clamp(max=1)
        return self._inside(self._x[rows] + away, rows)

    def _cells(self, rows: torch.Tensor, share: float, *, wide: bool = False) -> torch.Tensor:
        return torch.from_numpy(self._patches.cells(share, len(rows), self._rng, wide=wide))

    def _inside(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.maximum(torch.minimum(points, self._high[rows]), self._low[rows])


def _norm(v: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = v.norm(dim=1, keepdim=True)
    return lengths.clamp_min(1e-12)
