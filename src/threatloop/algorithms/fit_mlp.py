"""Training of stacked multilayer perceptrons: same batches, same rate, same loss as the general loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.batches import Records, bounds, learning_rate, orders
from threatloop.algorithms.mlp_stack import Stack
from threatloop.algorithms.optimisers import set_rate
from threatloop.algorithms.outcome import Diverged, Report, Trained
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.network import Network

Rows = npt.NDArray[np.int64]
CHECKED_EVERY = 8
"""Epochs between checks that the weights are finite; what has diverged stays so."""
MOST_GATHERED = 1 << 20
"""Numbers gathered at once; about what the second-level cache holds."""


@dataclass(frozen=True)
class Batch:
    """One step of K networks.

    Attributes:
        rows: positions in the pool, (K, batch); the unused end of a shorter batch points at record 0.
        weights: 1/batch, or (K, 1, batch) with 1/its own batch per record and 0 for the unused end.
    """

    rows: Rows
    weights: float | torch.Tensor


def epoch(order: Sequence[Rows], batch_size: int) -> Iterator[Batch]:
    """The batches of one epoch, from each network's order of its records; all need equally many batches."""
    cuts = [bounds(len(rows), batch_size) for rows in order]
    for position in zip(*cuts, strict=True):
        sizes = [stop - start for start, stop in position]
        rows = np.zeros((len(order), max(sizes)), np.int64)
        for k, (start, stop) in enumerate(position):
            rows[k, : stop - start] = order[k][start:stop]
        if min(sizes) == max(sizes):
            yield Batch(rows, 1.0 / sizes[0])
            continue
        used = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
        yield Batch(rows, (used / torch.tensor(sizes)[:, None])[:, None])


def probabilities(targets: torch.Tensor, classes: int, smoothing: float) -> torch.Tensor:
    """Labels (n,) or probabilities (n, classes) as smoothed probabilities, float32 (n, classes)."""
    full = F.one_hot(targets, classes).float() if targets.dim() == 1 else targets
    return full * (1 - smoothing) + smoothing / classes


def train_stack(
    networks: Sequence[Network],
    records: Records,
    members: Sequence[Rows],
    targets: torch.Tensor,
    recipe: Recipe,
    streams: Sequence[Streams],
    device: torch.device,
    report: Report | None = None,
) -> list[Trained]:
    """Train K stackable networks of the same widths in place; all need equally many batches per epoch.

    Args:
        networks: with initial weights and preprocessing.
        records: the pool that all share.
        members: per network the positions of its records in the pool.
        targets: for the whole pool, int64 (n,) or float32 (n, classes).
        recipe: without augmentation.
        streams: per network; the role ``order`` gives the order of its records.
        device: where to compute.
        report: called after every epoch with the share done.

    Raises:
        Diverged: a weight is no longer finite.
    """
    stack = Stack(networks, device)
    wanted = probabilities(targets, stack.widths[-1], recipe.label_smoothing).to(device)
    optimizer, sums = stack.optimiser(recipe), _Sums(len(networks), device)
    permutations = [orders(s.numpy("order"), len(m), recipe.epochs) for s, m in zip(streams, members, strict=True)]
    steps, step = recipe.epochs * len(bounds(len(members[0]), recipe.batch_size)), 0
    for number in range(recipe.epochs):
        order = [rows[next(permutation)] for rows, permutation in zip(members, permutations, strict=True)]
        last = sums if number == recipe.epochs - 1 else None
        for segment in _segments(epoch(order, recipe.batch_size), stack.widths[0]):
            for x, target, weights in _gathered(stack, segment, records, wanted):
                set_rate(optimizer, learning_rate(recipe.learning_rate, step, steps))
                _step(stack, x, target, weights, last)
                optimizer.step()
                step += 1
        ends = number == recipe.epochs - 1
        if (ends or number % CHECKED_EVERY == 0) and not bool(torch.isfinite(stack.flat).all()):
            raise Diverged("mlp", recipe, number)
        if report is not None:
            report((number + 1) / recipe.epochs)
    stack.write()
    return sums.trained([len(rows) for rows in members], steps)


def _segments(batches: Iterable[Batch], floats_per_row: int) -> Iterator[list[Batch]]:
    """Consecutive batches of one shape, as many as may be gathered at once."""
    held: list[Batch] = []
    for batch in batches:
        fits = (len(held) + 1) * batch.rows.size * floats_per_row <= MOST_GATHERED
        if held and (not fits or batch.rows.shape != held[0].rows.shape):
            yield held
            held = []
        held.append(batch)
    if held:
        yield held


def _gathered(
    stack: Stack, segment: Sequence[Batch], records: Records, wanted: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float | torch.Tensor]]:
    """Normalised records (K, batch, inputs), targets (K, classes, batch) and weights of each batch of a segment.

    One gather for many steps: at this size a step is mostly the overhead of its calls.
    """
    rows = np.stack([batch.rows for batch in segment])
    flat = rows.ravel()
    x = stack.normalise(records.take(flat).to(stack.device).view(*rows.shape, -1))
    target = wanted.index_select(0, torch.from_numpy(flat).to(stack.device)).view(*rows.shape, -1).transpose(2, 3)
    for inputs, targets, batch in zip(x.unbind(0), target.unbind(0), segment, strict=True):
        weights = batch.weights.to(stack.device) if isinstance(batch.weights, torch.Tensor) else batch.weights
        yield inputs, targets, weights


def _step(
    stack: Stack, x: torch.Tensor, target: torch.Tensor, weights: float | torch.Tensor, sums: _Sums | None
) -> None:
    reads, logits = stack.forward(x)
    # The gradient of softmax cross-entropy: every row of targets sums to 1.
    error = torch.softmax(logits, 1).sub_(target).mul_(weights)
    stack.backward(reads, error)
    if sums is not None:
        sums.add(logits, target, weights)


class _Sums:
    """Loss and right answers of every network over the last epoch."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.loss = torch.zeros(count, device=device)
        self.right = torch.zeros(count, device=device)

    def add(self, logits: torch.Tensor, target: torch.Tensor, weights: float | torch.Tensor) -> None:
        used = torch.ones((), device=logits.device) if isinstance(weights, float) else (weights > 0).float()[:, 0]
        self.loss += (-(torch.log_softmax(logits, 1) * target).sum(1) * used).sum(1)
        self.right += ((logits.argmax(1) == target.argmax(1)) * used).sum(1)

    def trained(self, sizes: Sequence[int], steps: int) -> list[Trained]:
        losses, rights = self.loss.tolist(), self.right.tolist()
        return [Trained(a / n, b / n, steps) for a, b, n in zip(losses, rights, sizes, strict=True)]
