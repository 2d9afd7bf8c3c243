"""Records as flat points in units of the norm, and what the victim says of them: what walks without gradients need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.ball import Ball
from threatloop.algorithms.evasion import Trial
from threatloop.algorithms.square import Ball as SearchBall
from threatloop.algorithms.square import Square
from threatloop.modality.patches import Patches

Rows = npt.NDArray[np.int64]
STARTS = 5
"""Other records that are tried as the start of a walk, the nearest first."""
BLOCK = 512
"""Records whose mutual distances are computed at once."""


class Points:
    """Some records of a trial as points whose plain norm is the distance that counts.

    A walk moves points freely between ``low`` and ``high``; the victim is asked about the nearest valid records alone.
    A one-hot block counts with the scores of its categories, scaled so that a change costs what the space says.

    Args:
        trial: where examples are offered.
        rows: positions among the attacked records.
        radius: of the ball in which a point becomes valid, in units of ε.

    Attributes:
        x: (n, d) the records.
        low, high: (n, d) bounds; of the linf ball too, where that is the norm.
        y: (n,) true labels.
    """

    def __init__(self, trial: Trial, rows: Rows, radius: float) -> None:
        self._trial, self._rows = trial, rows
        origin = torch.from_numpy(trial.origin[rows])
        self._ball, self._shape = Ball(trial.space, trial.norm, radius, origin), origin.shape[1:]
        unit = self._ball.unit.expand(self._shape).clone()
        cost = trial.space.category_cost
        for block in self._ball.blocks:
            unit[block] = 1 / cost if trial.norm == "linf" else 2**0.5 / cost
        self._unit = torch.where(unit > 0, unit, 1.0).flatten()
        self.x, self.low, self.high = (
            self.flat(part.expand_as(origin)) for part in (origin, self._ball.low, self._ball.high)
        )
        self.y = torch.from_numpy(trial.y[rows].astype(np.int64))
        self.plain = self._ball.plain

    def flat(self, encoded: torch.Tensor) -> torch.Tensor:
        """Encoded records (m, *shape) as points (m, d)."""
        return encoded.flatten(1) / self._unit

    def relaxed(self, points: torch.Tensor) -> torch.Tensor:
        """Encoded (m, *shape), not yet valid."""
        return (points * self._unit).reshape(-1, *self._shape)

    def valid(self, points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The nearest valid encoded records (m, *shape) of points (m, d) that belong to these records (m,)."""
        encoded = self.relaxed(points)
        if self.plain:
            return encoded.clamp(self._ball.low[places], self._ball.high[places])
        return self._ball.take(places).harden(encoded)

    def straight_through(self, points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Valid encoded records through which gradients flow as if they were the points."""
        encoded = self.relaxed(points)
        return encoded if self.plain else encoded + (self.valid(points.detach(), places) - encoded.detach())

    def errs(self, points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Whether the victim's label is wrong, bool (m,). Charges m queries."""
        stored = self._trial.stored(self.valid(points, places).numpy())
        return torch.from_numpy(self._trial.victim.labels(stored)) != self.y[places]

    def margins(self, points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """`lead` of the label, (m,). Charges m queries."""
        stored = self._trial.stored(self.valid(points, places).numpy())
        return lead(self._trial.victim.log_probs(stored), self.y[places])

    def distances(self, points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """How far the valid records are from theirs, in units of ε, (m,)."""
        if not len(places):
            return torch.zeros(0)
        encoded = self.valid(points, places).numpy()
        origin = self._trial.origin[self._rows[places.numpy()]]
        return torch.from_numpy(self._trial.space.distance(encoded, origin, self._trial.norm)).to(points)

    def offer(self, points: torch.Tensor, places: torch.Tensor) -> None:
        """Hand in points at which the victim errs."""
        if len(places):
            self._trial.offer(self._rows[places.numpy()], self.valid(points, places).contiguous().numpy())


def lead(log_probs: npt.NDArray[np.float32], y: torch.Tensor) -> torch.Tensor:
    """log p of the label minus the largest other, (m,); below 0 exactly where the answer is another class.

    Rounded scores tie, and then the first of the likeliest classes is the answer: a tie that is lost is just below 0.
    """
    answers, own = torch.from_numpy(log_probs), y[:, None]
    margins = answers.gather(1, own)[:, 0] - answers.scatter(1, own, -torch.inf).amax(dim=1)
    lost = torch.from_numpy(log_probs.argmax(axis=1)) != y
    return torch.where(lost, margins.clamp(max=-torch.finfo(margins.dtype).tiny), margins.clamp(min=0))


def other_starts(
    points: torch.Tensor, y: torch.Tensor, known: torch.Tensor, labels: torch.Tensor, norm: str
) -> torch.Tensor:
    """For each point (n, d) the nearest known ones (m, d) that are not of its class, (n, at most `STARTS`, d); NaN
    where there are fewer.

    Args:
        points: records that are to be moved.
        y: (n,) their true labels.
        known: records whose classes are known, or thought to be.
        labels: (m,) these classes.
        norm: of the distance.
    """
    found = []
    for first in range(0, len(points), BLOCK):
        part = slice(first, first + BLOCK)
        apart = torch.cdist(points[part], known, p=torch.inf if norm == "linf" else 2)
        apart = torch.where(labels[None, :] == y[part, None], torch.inf, apart)
        nearest, which = apart.topk(min(STARTS, len(known)), dim=1, largest=False)
        found.append(torch.where(nearest[:, :, None].isfinite(), known[which], torch.nan))
    return torch.cat(found)


def budgets(left: int | None, n: int, each: int) -> torch.Tensor:
    """Queries for each of n records, (n,): ``each`` for the first ones, until what is left is used up."""
    if left is None:
        return torch.full((n,), each)
    return (left - each * torch.arange(n)).clamp(0, each)


def search(
    trial: Trial, rows: Rows, patches: Patches, queries: int, first_share: float, rng: np.random.Generator
) -> torch.Tensor:
    """Square attack on these records of a trial: offers what breaks them.

    Returns:
        (n,) the smallest margin of each; infinite where no query was left.
    """
    points = Points(trial, rows, trial.radius)
    found = Square(
        points.margins, points.x, SearchBall(trial.norm, trial.radius, points.low, points.high), patches, rng
    )
    budget = budgets(trial.victim.ledger.left, len(rows), queries)
    # Records with the same budget go together: all, but for the one at which the victim's limit falls.
    for size in sorted(set(budget.tolist()) - {0}, reverse=True):
        found.run((budget == size).nonzero()[:, 0], size, first_share)
    broken = (found.margins < 0).nonzero()[:, 0]
    points.offer(found.best[broken], broken)
    return found.margins
