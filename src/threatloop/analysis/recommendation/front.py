"""Constraints, the Pareto front, and the choice on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from threatloop.analysis.recommendation.outlook import Outlook
from threatloop.analysis.recommendation.responses import Responses
from threatloop.analysis.recommendation.sets import Bools
from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats

RISK_STEP, ACCURACY_STEP, COST_STEP = 0.01, 0.005, 0.05
"""Differences that do not count: in risk, in accuracy, in the logarithm of cost."""
_CHUNK: Final = 256


@dataclass(frozen=True)
class Limits:
    """What a set must keep.

    Attributes:
        floor: accuracy below which a set is not usable: halfway between chance and the undefended model, or the
            user's own floor where that is higher.
        asked: the user's own floor, or None.
        max_cost, max_delay: most seconds of training, and of answering, relative to no defence, or None.
    """

    floor: float
    asked: float | None
    max_cost: float | None
    max_delay: float | None = None


def limits(
    measured: Responses,
    undefended: float,
    min_accuracy: float | None,
    max_cost: float | None,
    max_delay: float | None = None,
) -> Limits:
    """The limits on one target."""
    halfway = (measured.chance + undefended) / 2
    return Limits(max(halfway, min_accuracy or 0.0), min_accuracy, max_cost, max_delay)


def usable(found: Outlook, kept: Limits) -> Bools:
    """(m,): accuracy, cost and delay stay within the limits; an unknown figure does not.

    What was not measured must keep the floor with its uncertainty.
    """
    good = found.careful >= kept.floor
    if kept.max_cost is not None:
        good &= found.cost <= kept.max_cost * (1 + 1e-9)
    if kept.max_delay is not None:
        good &= found.delay <= kept.max_delay * (1 + 1e-9)
    allowed: Bools = good
    return allowed


def refuse(sets: Sequence[str], found: Outlook, kept: Limits) -> InputError:
    """The error where no set is within the limits; it names the nearest."""
    missing = np.maximum(kept.floor - found.careful, 0.0)
    wanted, remedies = f"accuracy of at least {kept.floor:.3f}", []
    if kept.asked is not None and kept.asked >= kept.floor:
        remedies.append("lower --min-accuracy")
    no_cost = "the run has no training times (the models were brought, not trained)"
    no_delay = "the run has no times of answers (the model is remote, or the run old)"
    for option, values, most, unit, unknown in (
        ("max-train-cost", found.cost, kept.max_cost, "the training time", no_cost),
        ("max-delay", found.delay, kept.max_delay, "the time to answer", no_delay),
    ):
        if most is None:
            continue
        if np.isnan(values).all():
            return InputError(f"{option}: {unknown}; leave it out")
        missing = missing + np.maximum(np.log(np.maximum(values, 1e-9) / most), 0.0)
        wanted += f" at {most:g}× {unit}"
        remedies.append(f"raise --{option}")
    nearest = int(np.nanargmin(missing))
    cost = "" if np.isnan(found.cost[nearest]) else f" at {found.cost[nearest]:.2f}×"
    if kept.max_delay is not None:
        cost += f" and {found.delay[nearest]:.2f}× the time to answer"
    return InputError(
        f"no set of defences has {wanted}; the nearest is {sets[nearest]} with "
        f"{found.accuracy[nearest]:.3f}{cost}: {' or '.join(remedies) or 'measure sets that cost less accuracy'}"
    )


def regret(found: Outlook, measured: Responses, undefended: float) -> Floats:
    """(m,): what attackers gain and what the defences take from the user, each as a share of the way to its worst.

    The risks of the directions added up, and the accuracy lost on the way down to chance. The composite score would not
    do: it is 1 wherever one direction cannot be helped.
    """
    room = max(undefended - measured.chance, 1e-9)
    lost = np.clip((undefended - found.accuracy) / room, 0.0, 1.0)
    total: Floats = np.nansum(found.risk, axis=-1) + lost
    return total


def objectives(found: Outlook, sizes: Sequence[int]) -> Floats:
    """(m, objectives), all to be small, in steps that count: risk per direction, accuracy lost, cost, size."""
    risk = np.where(np.isnan(found.risk), 1.0, found.risk)
    cost = np.where(np.isnan(found.cost), 1.0, found.cost)
    columns = [np.round(risk[:, d] / RISK_STEP) for d in range(risk.shape[1])]
    columns += [np.round(-found.accuracy / ACCURACY_STEP), np.round(np.log(cost) / COST_STEP), np.array(sizes, float)]
    return np.stack(columns, axis=1)


def pareto(costs: Floats) -> Bools:
    """(m,): no other row is as small in every column and smaller in one."""
    best = np.ones(len(costs), np.bool_)
    for start in range(0, len(costs), _CHUNK):
        part = costs[start : start + _CHUNK]
        no_worse = (costs[None] <= part[:, None]).all(-1)
        better = np.any(costs[None] < part[:, None], axis=-1)
        best[start : start + _CHUNK] = ~np.any(no_worse & better, axis=1)
    return best


def choice(found: Outlook, sizes: Sequence[int], regrets: Floats, among: Sequence[int]) -> int:
    """The set with the least regret; the one with the fewest defences, then the cheapest, of those that come near.

    Near is a step for each term of the regret: a further defence must be worth that much.
    """
    least = min(regrets[i] for i in among)
    near = [i for i in among if regrets[i] <= least + RISK_STEP * (found.risk.shape[1] + 1)]

    def rank(i: int) -> tuple[int, float, float]:
        cost = found.cost[i]
        return sizes[i], 0.0 if np.isnan(cost) else round(float(np.log(cost)) / COST_STEP), regrets[i]

    return min(near, key=rank)
