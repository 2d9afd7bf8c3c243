"""Auto-PGD: gradient ascent with momentum whose step size is halved where it no longer pays.

Croce, Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
arXiv 2003.01690, section 3 and algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import ceil

import torch

from threatloop.algorithms.ball import Ball
from threatloop.algorithms.hunt import Hunt, Loss, margin

MOMENTUM = 0.75
RISING = 0.75
"""Share of steps that must raise the loss for the step size to stay."""
FIRST, SHORTER, SHORTEST = 0.22, 0.03, 0.06
"""Checkpoints as shares of the steps: the first, by how much each stretch is shorter, and the shortest."""


def checkpoints(steps: int) -> list[int]:
    """Steps after which the step size may be halved, rising."""
    shares, found = [0.0, FIRST], []
    while shares[-1] < 1:
        found.append(ceil(shares[-1] * steps - 1e-9))
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - SHORTER, SHORTEST))
    return sorted(set(found))


@dataclass(frozen=True)
class _State:
    """Everything that an ascent knows of each record; first axis m.

    Attributes:
        places: positions within the chunk.
        labels: true classes.
        points, before: relaxed points now and one step before.
        gradient, loss: at ``points``.
        best, best_gradient, best_loss: the highest loss so far, and where.
        size: step size in units of ε.
        rose: steps since the last checkpoint that raised the loss.
        steady: the size was not halved at the last checkpoint.
        mark: the best loss at the last checkpoint.
    """

    places: torch.Tensor
    labels: torch.Tensor
    points: torch.Tensor
    before: torch.Tensor
    gradient: torch.Tensor
    loss: torch.Tensor
    best: torch.Tensor
    best_gradient: torch.Tensor
    best_loss: torch.Tensor
    size: torch.Tensor
    rose: torch.Tensor
    steady: torch.Tensor
    mark: torch.Tensor

    def take(self, rows: torch.Tensor) -> _State:
        return _State(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})


def auto_pgd(
    hunt: Hunt, places: torch.Tensor, steps: int, loss: Loss, start: torch.Tensor, *, to_the_end: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Climb the loss from relaxed starting points; records that fool the victim are left there.

    Args:
        hunt: the chunk.
        places: positions of the m records within it.
        steps: ≥ 1; one more gradient than steps is asked for, less for records that are left.
        loss: the same for all records, or a `Targeted` one, which is told their rows.
        start: relaxed points (m, ...).
        to_the_end: go on with records that fool the victim, for examples that must fool another.

    Returns:
        The valid point of the highest loss of each record (m, ...), and the last margin (m,).
    """
    ball, m = hunt.ball.take(places), len(places)
    found, margins = ball.harden(start).clone(), torch.zeros(m)
    state, rows = _begin(hunt, ball, places, loss, start), torch.arange(m)
    last = 0
    marks = set(checkpoints(steps))
    for step in range(1, steps + 1):
        x, logits, state = _advance(hunt, ball, state, loss, first=step == 1)
        margins[rows] = margin(logits, state.labels)
        wrong = hunt.catch(state.places, x, logits)
        if step in marks:
            state, last = _halve(state, step - last), step
        if to_the_end or not bool(wrong.any()):
            continue
        found[rows] = ball.harden(state.best)
        kept = ~wrong
        found[rows[wrong]] = x[wrong]
        if not bool(kept.any()):
            return found, margins
        state, rows, ball, loss = state.take(kept), rows[kept], ball.take(kept), of_rows(loss, kept)
    found[rows] = ball.harden(state.best)
    return found, margins


def _begin(hunt: Hunt, ball: Ball, places: torch.Tensor, loss: Loss, start: torch.Tensor) -> _State:
    labels, m = hunt.labels[places], len(places)
    x = ball.harden(start)
    logits, value, gradient = hunt.climb(x, labels, loss)
    hunt.catch(places, x, logits)
    size = torch.full((m,), 2.0 * ball.radius)
    none = torch.zeros(m)
    yes = torch.ones(m, dtype=torch.bool)
    return _State(places, labels, start, start, gradient, value, start, gradient, value, size, none, yes, value)


def _advance(
    hunt: Hunt, ball: Ball, state: _State, loss: Loss, *, first: bool
) -> tuple[torch.Tensor, torch.Tensor, _State]:
    """One step with momentum: the asked records, the victim's logits, and the next state."""
    points = ball.step(state.points, state.gradient, state.size)
    if not first:
        drift = MOMENTUM * (points - state.points) + (1 - MOMENTUM) * (state.points - state.before)
        points = ball.project(state.points + drift)
    x = ball.harden(points)
    logits, value, gradient = hunt.climb(x, state.labels, loss)
    higher = value > state.best_loss
    wide = higher.view(-1, *([1] * (points.dim() - 1)))
    after = replace(
        state,
        points=points,
        before=state.points,
        gradient=gradient,
        loss=value,
        best=torch.where(wide, points, state.best),
        best_gradient=torch.where(wide, gradient, state.best_gradient),
        best_loss=torch.where(higher, value, state.best_loss),
        rose=state.rose + (value > state.loss),
    )
    return x, logits, after


def _halve(state: _State, stretch: int) -> _State:
    """Half the step, from the best point, where too few steps rose or where nothing improved at an unchanged size."""
    stuck = state.steady & (state.best_loss <= state.mark)
    halved = (state.rose < RISING * stretch) | stuck
    wide = halved.view(-1, *([1] * (state.points.dim() - 1)))
    return replace(
        state,
        points=torch.where(wide, state.best, state.points),
        before=torch.where(wide, state.best, state.before),
        gradient=torch.where(wide, state.best_gradient, state.gradient),
        loss=torch.where(halved, state.best_loss, state.loss),
        size=torch.where(halved, state.size / 2, state.size),
        rose=torch.zeros_like(state.rose),
        steady=~halved,
        mark=state.best_loss,
    )


class Targeted:
    """A loss towards one wrong class per record: the targeted difference of logits ratio.

    −(z_y − z_t) / (z_1 − (z_3 + z_4) / 2), with the logits sorted falling (section 4.1 and equation 7). It has the same
    value when all logits are shifted or scaled, and needs four classes; with fewer it is z_t − z_y.

    Args:
        targets: a wrong class for each record, (m,).
    """

    def __init__(self, targets: torch.Tensor) -> None:
        self.targets = targets

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        own, aim = (logits.gather(1, one[:, None])[:, 0] for one in (labels, self.targets))
        if logits.shape[1] < 4:
            return aim - own
        top = logits.topk(4, dim=1).values
        return (aim - own) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


def of_rows(loss: Loss, rows: torch.Tensor) -> Loss:
    """The loss for some of its records."""
    return Targeted(loss.targets[rows]) if isinstance(loss, Targeted) else loss


def targets_by_likelihood(logits: torch.Tensor, labels: torch.Tensor, most: int) -> torch.Tensor:
    """The wrong classes of each record, the likeliest first, (m, at most ``most``)."""
    wrong = logits.scatter(1, labels[:, None], -torch.inf)
    return wrong.argsort(dim=1, descending=True, stable=True)[:, : min(most, logits.shape[1] - 1)]
