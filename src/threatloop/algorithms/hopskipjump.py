"""HopSkipJump: nearest adversarial points from labels alone, for many records in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from threatloop.modality.space import Norm

Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Points (m, d) and the record (m,) that each belongs to, to whether the model errs there, bool (m,); m queries."""
Length = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Points (m, d) and their records (m,), to the distance (m,) between them."""
CHUNK = 1 << 22
"""Numbers in one request, about."""
START_TRIES, HALVINGS, FEWEST, STEP_RESERVE = 100, 25, 8, 3
FIRST_DELTA = 0.1
PUSH = 1e-4
"""Share of the distance by which the last query steps over the boundary: a point on it is on either side, by
rounding."""


@dataclass(frozen=True)
class Setting:
    """How to walk.

    Attributes:
        norm: of the distance that is made small.
        evaluations: points of the first gradient estimate, ≥ 1; the t-th takes √t times as many.
        most_evaluations: of one estimate.
    """

    norm: Norm
    evaluations: int = 100
    most_evaluations: int = 10_000


class HopSkipJump:
    """Walks of all records, each with a budget of its own.

    A record for which no adversarial start is found keeps an infinite distance.

    Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack", arXiv 1904.02144, algorithm 2 with the parameters of section V
    (θ = 1 / (d√d) for l2 and 1 / d² for linf, baseline-corrected estimates, geometric step sizes). The start differs:
    the attacker's nearest other records that the model takes for another class come first, uniform noise only where
    there is none; both are drawn to the boundary by bisection.

    Args:
        ask: whether the model errs.
        x: (n, d) records that the model gets right, in units of the norm.
        low, high: bounds, broadcast to (n, d).
        budget: (n,) queries that each record may take, ≥ 0.
        setting: how to walk.
        generator: draws the noise.
        length: the distance that counts, where it is not simply that of the norm.

    Attributes:
        best: (n, d) nearest point at which the model errs; the record itself until one was found.
        distance: (n,) how far it is.
        left: (n,) queries that are left to each record.
    """

    def __init__(
        self,
        ask: Ask,
        x: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        budget: torch.Tensor,
        setting: Setting,
        generator: torch.Generator,
        length: Length | None = None,
    ) -> None:
        self._ask_model, self._x, self._setting, self._generator = ask, x, setting, generator
        self._low, self._high = low.expand_as(x), high.expand_as(x)
        self._length = length or self._plain
        d = x.shape[1]
        self._theta = 1 / d**2 if setting.norm == "linf" else 1 / (d * d**0.5)
        self.left = budget.clone()
        self.best, self.distance = x.clone(), torch.full((len(x),), torch.inf)
        self._at = x.clone()

    def run(self, starts: torch.Tensor) -> None:
        """Walk until every budget is spent.

        Args:
            starts: (n, k, d) points at which the model is thought to err, the best first; NaN where none is known.

        Raises:
            BudgetExhausted: the service's own limit came first; ``best`` holds what was found.
        """
        rows = self._affordable(torch.arange(len(self._x)), 2)
        self.left[rows] -= 1  # for the push at the end
        found = walking = self._started(rows, starts)
        self._bisect(found)
        step = 1
        while len(walking := self._affordable(walking, FEWEST + STEP_RESERVE)):
            self._advance(walking, step)
            step += 1
        self.left[rows] += 1
        self._push(found)

    def _push(self, rows: torch.Tensor) -> None:
        """The best points a little further out, where the model errs there too."""
        points = self._clip(self._x[rows] + (1 + PUSH) * (self.best[rows] - self._x[rows]), rows)
        wrong = self._ask(points, rows)
        self.best[rows[wrong]] = points[wrong]
        self.distance[rows[wrong]] = self._length(points[wrong], rows[wrong])

    def _advance(self, rows: torch.Tensor, step: int) -> None:
        """One estimate, one step, one bisection for each of these records."""
        here, far = self._at[rows], self._plain(self._at[rows], rows)
        direction = self._estimate(rows, far, step)
        if self._setting.norm == "linf":
            direction = direction.sign()
        size = far / step**0.5
        pending = torch.arange(len(rows))
        for _ in range(HALVINGS):
            pending = pending[self.left[rows[pending]] > 0]
            if not len(pending):
                break
            chosen = rows[pending]
            moved = self._clip(here[pending] + size[pending, None] * direction[pending], chosen)
            wrong = self._ask(moved, chosen)
            self._at[chosen[wrong]] = moved[wrong]
            self._take(chosen[wrong], moved[wrong])
            pending = pending[~wrong]
            size[pending] /= 2
        self._bisect(rows)

    def _estimate(self, rows: torch.Tensor, far: torch.Tensor, step: int) -> torch.Tensor:
        """Unit direction (m, d) in which the model errs more, from the answers around the boundary point."""
        d = self._x.shape[1]
        delta = torch.full_like(far, FIRST_DELTA) if step == 1 else far / d
        wanted = min(int(self._setting.evaluations * step**0.5), self._setting.most_evaluations)
        # What bisection and step will need comes off the last estimate: a walk that cannot finish its step is no use.
        reserve = STEP_RESERVE + self._bisection_steps()
        count = (self.left[rows] - reserve).clamp(min=FEWEST, max=wanted)
        found = torch.empty_like(self._x[rows])
        each = max(1, CHUNK // (d * wanted))
        for begin in range(0, len(rows), each):
            part = slice(begin, begin + each)
            found[part] = self._directions(rows[part], delta[part], count[part])
        return _unit(found)

    def _directions(self, rows: torch.Tensor, delta: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        owner = torch.arange(len(rows)).repeat_interleave(count)
        noise = self._noise(len(owner))
        centre = self._at[rows][owner]
        points = self._clip(centre + delta[owner, None] * noise, rows[owner])
        noise = (points - centre) / delta[owner, None]
        sign = 2 * self._ask(points, rows[owner]).to(points) - 1
        mean = torch.zeros(len(rows)).to(points).index_add_(0, owner, sign) / count
        # Where all answers agree the baseline would cancel them.
        weight = torch.where(mean.abs()[owner] < 1, sign - mean[owner], sign)
        return torch.zeros(len(rows), points.shape[1]).to(points).index_add_(0, owner, weight[:, None] * noise)

    def _noise(self, n: int) -> torch.Tensor:
        shape = (n, self._x.shape[1])
        if self._setting.norm == "linf":
            noise = 2 * torch.rand(shape, generator=self._generator) - 1
        else:
            noise = torch.randn(shape, generator=self._generator)
        return _unit(noise.to(self._x))

    def _started(self, rows: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """The records for which a point was found at which the model errs; it is put into ``_at``."""
        missing = rows
        for turn in range(START_TRIES):
            missing = self._affordable(missing, 1)
            if not len(missing):
                break
            tries = self._uniform(missing)
            if turn < starts.shape[1]:
                tries = torch.where(starts[missing, turn].isnan(), tries, starts[missing, turn])
            tries = self._clip(tries, missing)
            wrong = self._ask(tries, missing)
            self._at[missing[wrong]] = tries[wrong]
            self._take(missing[wrong], tries[wrong])
            missing = missing[~wrong]
        return rows[self.distance[rows].isfinite()]

    def _uniform(self, rows: torch.Tensor) -> torch.Tensor:
        """Points drawn uniformly from the box; where it has no bounds, from a box of width 2 around the record."""
        x = self._x[rows]
        low = torch.where(self._low[rows].isfinite(), self._low[rows], x - 1)
        high = torch.where(self._high[rows].isfinite(), self._high[rows], x + 1)
        return low + (high - low) * torch.rand(x.shape, generator=self._generator).to(x)

    def _bisect(self, rows: torch.Tensor) -> None:
        """Draw the points back to the boundary, on the line to the record (l2) or through the shrinking cube (linf)."""
        x, start = self._x[rows], self._at[rows]
        wide = (start - x).abs().amax(dim=1) if self._setting.norm == "linf" else torch.ones(len(rows)).to(x)
        near, far = torch.zeros_like(wide), wide.clone()
        stop = self._theta * wide.clamp(max=1)
        for _ in range(self._bisection_steps()):
            active = ((far - near > stop) & (self.left[rows] > 0)).nonzero()[:, 0]
            if not len(active):
                break
            mid = (near[active] + far[active]) / 2
            points = self._between(x[active], start[active], mid)
            wrong = self._ask(points, rows[active])
            far[active] = torch.where(wrong, mid, far[active])
            near[active] = torch.where(wrong, near[active], mid)
        self._at[rows] = self._between(x, start, far)
        self._take(rows, self._at[rows])

    def _between(self, x: torch.Tensor, start: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        if self._setting.norm == "linf":
            return torch.maximum(torch.minimum(start, x + at[:, None]), x - at[:, None])
        # At 1 the start itself, not its rounding: it is known to be adversarial, a neighbour is not.
        blend = x + at[:, None] * (start - x)
        return torch.where(at[:, None] == 1, start, blend)

    def _bisection_steps(self) -> int:
        """Halvings until the interval is no longer than θ."""
        return 1 + int(torch.tensor(1 / self._theta).log2().ceil())

    def _take(self, rows: torch.Tensor, points: torch.Tensor) -> None:
        """Keep those of these adversarial points that are nearer than what is known."""
        far = self._length(points, rows)
        nearer = far < self.distance[rows]
        self.best[rows[nearer]], self.distance[rows[nearer]] = points[nearer], far[nearer]

    def _plain(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        apart = points - self._x[rows]
        return apart.abs().amax(dim=1) if self._setting.norm == "linf" else apart.norm(dim=1)

    def _affordable(self, rows: torch.Tensor, queries: int) -> torch.Tensor:
        return rows[self.left[rows] >= queries]

    def _clip(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.maximum(torch.minimum(points, self._high[rows]), self._low[rows])

    def _ask(self, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if not len(rows):
            return torch.zeros(0, dtype=torch.bool)
        answers = self._ask_model(points, rows)
        self.left -= torch.bincount(rows, minlength=len(self.left))
        return answers


def _unit(v: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = v.norm(dim=1, keepdim=True)
    return v / lengths.clamp_min(1e-30)
