"""Answers that turn the gradients of whoever trains on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.algorithms.answers import Floats

BISECTIONS = 12
STEP = 1e-3
GAP = 1e-3
"""By how much the leading class stays in front."""


def slopes(below: nn.Module, above: nn.Module, encoded: npt.NDArray[np.float32]) -> Floats:
    """How fast each class's log-probability rises, (n, classes), as all weights of a network rise alike.

    These are the scalar products of the classes' gradients with the all-ones direction: what training on an answer of
    that class alone would add to every weight.

    Args:
        below: the network with all weights `STEP` lower.
        above: with all weights `STEP` higher.
        encoded: n records.
    """
    x = torch.from_numpy(np.require(encoded, requirements=["C", "W"]))
    with torch.no_grad():
        low, high = (torch.log_softmax(network(x), dim=1).double() for network in (below, above))
    return np.asarray(((high - low) / (2 * STEP)).numpy())


def redirected(exact: Floats, gains: Floats, budget: float) -> Floats:
    """Answers of the largest mean gain within an l1 distance of ``budget``, the leading class kept in front.

    Without that last condition, mass from the classes of least gain to that of most solves the linear programme. With
    it, the class of most gain gets as much as leaves the leader in front, then the next one, until half of the budget
    is moved.

    Args:
        exact: probabilities (n, classes).
        gains: of one unit of probability, (n, classes).
        budget: in (0, 2].
    """
    found, left = exact.copy(), np.full(len(exact), budget / 2)
    leaders, order = exact.argmax(axis=1), np.argsort(-gains, axis=1)
    for place in range(exact.shape[1] - 1):
        low, high = np.zeros(len(exact)), left.copy()
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            fine = _leads(_moved(found, order, place, middle)[0], leaders)
            low, high = np.where(fine, middle, low), np.where(fine, high, middle)
        whole = _leads(_moved(found, order, place, left)[0], leaders)
        found, moved = _moved(found, order, place, np.where(whole, left, low))
        left = left - moved
    return found


def _moved(shares: Floats, order: npt.NDArray[np.int64], place: int, amount: Floats) -> tuple[Floats, Floats]:
    """Up to ``amount`` (n,) moved from the classes of least gain to the one at ``place``; and how much that was."""
    rows = np.arange(len(shares))[:, None]
    givers = order[:, :place:-1]
    held = shares[rows, givers]
    before = np.cumsum(held, axis=1) - held
    taken = np.clip(amount[:, None] - before, 0, held)
    changed, moved = shares.copy(), taken.sum(axis=1)
    changed[rows, givers] -= taken
    changed[rows[:, 0], order[:, place]] += moved
    return changed, moved


def _leads(shares: Floats, leaders: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    others, rows = shares.copy(), np.arange(len(shares))
    others[rows, leaders] = -1
    return np.asarray(shares[rows, leaders] >= others.max(axis=1) + GAP)
