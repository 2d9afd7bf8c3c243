"""What sets of defences mean for the defender: risk per direction, use, cost, and what remains unresolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatloop.analysis.recommendation.predict import Predicted, Predictor
from threatloop.analysis.recommendation.responses import Responses
from threatloop.analysis.recommendation.sets import Bools, Members
from threatloop.numerics.arrays import Floats


@dataclass(frozen=True)
class Outlook:
    """Of m sets, or (draws, m) of them.

    Attributes:
        risk: (..., m, directions), of the worst attack.
        unresolved: the same shape: no attacker who knows the defences was measured with the goal that is worst there,
            so that the risk is that without defences at least.
        accuracy: (..., m). cost: (..., m), seconds of training relative to no defence; NaN where unknown.
        delay: (..., m), seconds of answering relative to no defence; NaN where unknown.
        careful: (m,), accuracy, of sets that were not measured the lower end of its 90 % interval.
    """

    risk: Floats
    unresolved: Bools
    accuracy: Floats
    cost: Floats
    delay: Floats
    careful: Floats


def outlook(predictor: Predictor, sets: Sequence[Members], draws: np.random.Generator | None = None) -> Outlook:
    """The outlook of these sets; with ``draws``, as often as the predictor draws."""
    measured = predictor.measured
    # The target as it is comes last, for what is not resolved.
    asked = [*sets, frozenset[int]()]
    found = predictor.estimate(asked) if draws is None else predictor.draws(asked, draws)
    careful = predictor.careful_accuracy(sets) if draws is None else np.full(len(sets), np.nan)
    return judged(found, resolved(measured, sets), measured, careful)


def judged(found: Predicted, known: Bools, measured: Responses, careful: Floats) -> Outlook:
    """From attacks to directions.

    Args:
        found: of the sets, and of no defence in the last place.
        known: (m, attacks), see `resolved`.
        careful: see `Outlook`.
    """
    clipped = np.clip(found.risk, 0.0, 1.0)
    risk, plain = clipped[..., :-1, :], clipped[..., -1:, :]
    # A reduction that no adaptive attacker has tried is not credited.
    counted = np.where(known, risk, np.fmax(risk, plain))
    shape = (*counted.shape[:-1], len(measured.directions))
    worst, unresolved = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    for d, direction in enumerate(measured.directions):
        columns = [i for i, place in enumerate(measured.places) if place.direction == direction]
        filled = np.where(np.isnan(counted[..., columns]), -1.0, counted[..., columns])
        top = filled.argmax(-1)
        worst[..., d] = np.take_along_axis(filled, top[..., None], -1)[..., 0]
        open_ones = np.broadcast_to(~known[:, columns], filled.shape)
        unresolved[..., d] = np.take_along_axis(open_ones, top[..., None], -1)[..., 0]
    accuracy = np.clip(found.accuracy[..., :-1], 0.0, 1.0)
    cost, delay = (np.exp(one[..., :-1]) for one in (found.log_cost, found.log_delay))
    return Outlook(np.where(worst < 0, np.nan, worst), unresolved, accuracy, cost, delay, careful)


def resolved(measured: Responses, sets: Sequence[Members]) -> Bools:
    """(m, attacks): some attacker with the same goal who knows the defences was measured, under part of the set.

    The goal of an attack is its direction and headline metric.
    """
    goals = [(place.direction, place.metric) for place in measured.places]
    same = np.array([[a == b for b in goals] for a in goals])
    by_goal = (measured.adaptive.astype(int) @ same) > 0
    found = np.zeros((len(sets), len(goals)), np.bool_)
    for row, members in enumerate(sets):
        below = [i for i, part in enumerate(measured.sets) if part <= members and (part or not members)]
        found[row] = by_goal[below].any(0) if below else False
    return found
