"""Projected gradient ascent from random starts, records dropped as soon as they fool the victim."""

from __future__ import annotations

import torch

from threatloop.algorithms.hunt import Hunt, log_odds, margin

POLISHED = 0.1
"""Share of the steps, the last ones, whose gradients are exact; those before may be rounded."""


def projected_ascent(
    hunt: Hunt, steps: int, size: float, restarts: int, random_start: bool, generator: torch.Generator
) -> None:
    """Climb the loss of every record that the victim gets right until it no longer does.

    A record is left as soon as any of its valid points fools the victim: more steps cannot make it count twice.

    Args:
        hunt: the chunk.
        steps: gradients per restart, ≥ 1.
        size: of a step, in units of ε.
        restarts: ≥ 1; without a random start all would be the same.
        random_start: start anywhere in the ball instead of at the record.
        generator: draws the starts.
    """
    right, gradient = hunt.begin(log_odds)
    margins = torch.zeros(len(hunt.labels))
    for _ in range(restarts if random_start else 1):
        places = right[torch.isin(right, hunt.standing())]
        if not len(places):
            break
        first = None if random_start else gradient
        _climb(hunt, places, first, steps, size, generator, margins)
    hunt.end(margins[right])


def _climb(
    hunt: Hunt,
    places: torch.Tensor,
    gradient: torch.Tensor | None,
    steps: int,
    size: float,
    generator: torch.Generator,
    margins: torch.Tensor,
) -> None:
    """One start; ``gradient`` at the records is known where it starts there. Leaves the last margins of all."""
    ball, labels = hunt.ball.take(places), hunt.labels[places]
    if gradient is None:
        points = ball.start(generator)
    else:
        points = ball.step(ball.origin, gradient, size)
        steps -= 1
    polish = int(steps * POLISHED)
    for left in range(steps, -1, -1):
        x = ball.harden(points)
        if left:
            climb = hunt.draft if left > polish else hunt.climb
            logits, _, gradient = climb(x, labels, log_odds)
        else:
            logits = hunt.ask(x)
        margins[places] = margin(logits, labels)
        wrong = hunt.catch(places, x, logits)
        if not left or gradient is None:
            return
        if bool(wrong.any()):
            kept = ~wrong
            if not bool(kept.any()):
                return
            places, labels, points, gradient = places[kept], labels[kept], points[kept], gradient[kept]
            ball = ball.take(kept)
        points = ball.step(points, gradient, size)
