"""The ball around each record as tensors: steepest steps, projection, and the nearest valid records."""

from __future__ import annotations

import numpy as np
import torch

from threatloop.modality.space import Norm, Space

TINY = 1e-12
Rows = torch.Tensor


class Ball:
    """Where n encoded records may move.

    An attack walks over *relaxed* points: numbers anywhere in the ball, one-hot blocks as scores that sum to 1.
    `harden` turns them into valid records, and the victim is asked about these alone (straight-through gradients,
    Bengio et al. 2013, arXiv 1308.3432): what fools it is then valid without a later rounding that could undo it.
    Where all coordinates are continuous, as in images, both are the same point.

    Args:
        space: where records may be moved.
        norm: ``linf`` or ``l2``.
        radius: ε ≥ 0 in the space's units; one number.
        origin: encoded records (n, *shape), float32.
    """

    def __init__(self, space: Space, norm: Norm, radius: float, origin: torch.Tensor) -> None:
        self.space, self.norm, self.radius, self.origin = space, norm, radius, origin
        place = origin.device
        self.plain = not (space.whole.any() or space.groups or not space.mutable.all())
        """All coordinates are free and continuous."""
        free = np.where(space.mutable, space.unit, 0).astype(np.float32)
        self.unit = torch.from_numpy(np.asarray(free)).to(place)
        box_low, box_high = (torch.from_numpy(np.asarray(side)).to(place) for side in (space.low, space.high))
        move = self.unit * radius if norm == "linf" else torch.where(self.unit > 0, torch.inf, 0.0)
        for start, stop in space.groups:
            move = move.clone()
            move[start:stop] = 1.0 if space.category_cost <= radius else 0.0
        # The origin itself stays allowed where it lies on the wrong side of a bound by rounding.
        self.low = torch.minimum(torch.maximum(origin - move, box_low), origin)
        self.high = torch.maximum(torch.minimum(origin + move, box_high), origin)
        self.blocks = [slice(a, b) for a, b in space.groups]
        self.numeric = torch.from_numpy(space.numeric).to(place)
        self.whole = torch.from_numpy(np.broadcast_to(space.whole & space.numeric, space.shape).copy()).to(place)

    def take(self, rows: Rows) -> Ball:
        """The ball of some of the records."""
        part = object.__new__(Ball)
        part.__dict__.update(self.__dict__)
        part.origin, part.low, part.high = self.origin[rows], self.low[rows], self.high[rows]
        return part

    def start(self, generator: torch.Generator) -> torch.Tensor:
        """Relaxed random points: uniform in the linf ball, or in the l2 ball, cut to the bounds."""
        shape, place = self.origin.shape, self.origin.device
        if self.norm == "linf":
            uniform = torch.rand(shape, generator=generator).to(place)
            moved = self.origin + (2 * uniform - 1) * self.unit * self.radius
        else:
            direction = self._unit_length(torch.randn(shape, generator=generator).to(place))
            d = max(1, int(self.numeric.sum()))
            length = torch.rand(len(self.origin), generator=generator).to(place) ** (1 / d)
            moved = self.origin + self.unit * direction * self.radius * _rowwise(length, direction)
        for block in self.blocks:
            moved[:, block] = self.origin[:, block]
        return self.project(moved)

    def project(self, points: torch.Tensor) -> torch.Tensor:
        """The points brought back into the ball and the bounds; relaxed."""
        if self.norm == "l2":
            units = self._units(points)
            length = units.flatten(1).norm(dim=1)
            factor = torch.where(length > self.radius, self.radius / length.clamp_min(TINY), 1.0)
            points = torch.where(self.numeric, self.origin + (points - self.origin) * _rowwise(factor, units), points)
        for block in self.blocks:
            points = points.clone()
            points[:, block] = _simplex(points[:, block])
        return torch.minimum(torch.maximum(points, self.low), self.high)

    def step(self, points: torch.Tensor, gradient: torch.Tensor, size: float | torch.Tensor) -> torch.Tensor:
        """A steepest ascent step of this size (one number, or one a record), in units of ε, projected.

        A block of category scores moves by twice the same share of its own range, so that the best may overtake.
        """
        length = size if isinstance(size, float) else _rowwise(size, points)
        if self.norm == "linf":
            moved = points + gradient.sign() * (self.unit * length)
        else:
            moved = points + self._unit_length(gradient * self.unit) * (self.unit * length)
        share = 2 * length / max(self.radius, TINY)
        for block in self.blocks:
            # What all categories share moves nothing, since a block always sums to 1.
            part = gradient[:, block] - gradient[:, block].mean(dim=1, keepdim=True)
            along = part / part.abs().amax(dim=1, keepdim=True).clamp_min(TINY)
            moved[:, block] = points[:, block] + along * (share if isinstance(share, float) else share.view(-1, 1))
        return self.project(moved)

    def harden(self, points: torch.Tensor) -> torch.Tensor:
        """Valid records nearest to relaxed points of the ball; the points themselves where all is continuous."""
        if self.plain:
            return points
        moved, spent = self._categories(points)
        whole = self._whole(points) if self.whole.any() else points
        moved = torch.where(self.numeric, whole, moved)
        if self.norm == "linf":
            return moved
        return self._shortened(moved, points, (self.radius**2 - spent).clamp_min(0).sqrt())

    def _shortened(self, moved: torch.Tensor, points: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """Numbers within what the changed categories leave of the radius, whole ones rounded towards the origin."""
        length, relaxed = (self._units(one).flatten(1).norm(dim=1) for one in (moved, points))
        far = length > left * (1 + 1e-6)
        factor = torch.where(far, left / torch.maximum(length, relaxed).clamp_min(TINY), 1.0)
        shift = (points - self.origin) * _rowwise(factor, points)
        inner = self.origin + torch.where(self.whole, shift.trunc(), shift)
        return torch.where(self.numeric & _rowwise(far, points), inner, moved)

    def _whole(self, points: torch.Tensor) -> torch.Tensor:
        """Whole numbers on their grid, inside the bounds of the ball."""
        rounded = points.round()
        low, high = self.low.ceil(), self.high.floor()
        inside = torch.minimum(torch.maximum(rounded, low), high)
        fits = low <= high
        return torch.where(self.whole, torch.where(fits, inside, self.origin), points)

    def _categories(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The best-scored category of each block as one-hot, the best changes first until the radius is spent; and
        the squared radius that they take (n,)."""
        n, cost = len(points), self.space.category_cost
        spent = torch.zeros(n, device=points.device)
        hard = torch.where(self.numeric, points, self.origin)
        if not self.blocks or cost > self.radius:
            return hard, spent
        gains, choices = [], []
        for block in self.blocks:
            scores, known = points[:, block], self.origin[:, block]
            best, chosen = scores.max(dim=1)
            own = torch.where(known > 0, scores, -torch.inf).amax(dim=1)
            # A category that was never seen has no score; it stays until one is clearly better than the rest.
            own = torch.where(own.isfinite(), own, 0.5)
            gains.append(best - own)
            choices.append(chosen)
        gain = torch.stack(gains, dim=1)
        allowed = gain > 0
        if self.norm == "l2":
            most = int((self.radius / cost) ** 2 * (1 + 1e-6))
            rank = (-gain).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
            allowed = allowed & (rank < most)
            spent = allowed.sum(dim=1) * cost**2
        for j, (block, chosen) in enumerate(zip(self.blocks, choices, strict=True)):
            width = block.stop - block.start
            one_hot = torch.nn.functional.one_hot(chosen, width).to(points.dtype)
            hard[:, block] = torch.where(allowed[:, j, None], one_hot, self.origin[:, block])
        return hard, spent

    def _units(self, points: torch.Tensor) -> torch.Tensor:
        """Moves of the numbers in units of ε; 0 for all else."""
        if self.plain:
            return (points - self.origin) / self.unit
        free = self.numeric & (self.unit > 0)
        return torch.where(free, (points - self.origin) / self.unit.clamp_min(TINY), 0.0)

    def _unit_length(self, direction: torch.Tensor) -> torch.Tensor:
        numbers = direction if self.plain else torch.where(self.numeric, direction, 0.0)
        length = numbers.flatten(1).norm(dim=1).clamp_min(TINY)
        return numbers / _rowwise(length, numbers)


def _rowwise(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """One number per record, shaped to multiply records."""
    return values.view(-1, *([1] * (like.dim() - 1)))


def _simplex(scores: torch.Tensor) -> torch.Tensor:
    """The nearest points with non-negative entries that sum to 1, (n, k).

    Duchi, Shalev-Shwartz, Singer, Chandra 2008, "Efficient Projections onto the l1-Ball" (ICML), figure 1.
    """
    falling = scores.sort(dim=1, descending=True).values
    excess = falling.cumsum(dim=1) - 1
    count = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    kept = (falling * count > excess).sum(dim=1, keepdim=True)
    return (scores - excess.gather(1, kept - 1) / kept).clamp_min(0)
