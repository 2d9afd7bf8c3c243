"""Training of stacked multilayer perceptrons: same batches, same rate, same loss as the general loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.batches import Records, batches, bounds, learning_rate
from threatloop.algorithms.course import Course, Private, Side
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
        sizes: records of each network.
    """

    rows: Rows
    weights: float | torch.Tensor
    sizes: Sequence[int]


def epoch(drawn: Sequence[Sequence[Rows]], expected: Sequence[float] | None = None) -> Iterator[Batch]:
    """The batches of one epoch, from each network's; all need equally many.

    Args:
        drawn: per network its batches, as positions in the pool.
        expected: per network the size that a sum is divided by; None for each batch's own.
    """
    # Batches of one width are gathered together; those drawn at random all differ.
    width = 0 if expected is None else max(1, max(len(rows) for batches in drawn for rows in batches))
    for position in zip(*drawn, strict=True):
        sizes = [len(part) for part in position]
        rows = np.zeros((len(drawn), width or max(sizes)), np.int64)
        for k, part in enumerate(position):
            rows[k, : len(part)] = part
        if expected is None and min(sizes) == max(sizes):
            yield Batch(rows, 1.0 / sizes[0], sizes)
            continue
        used = torch.arange(rows.shape[1]) < torch.tensor(sizes)[:, None]
        by = torch.tensor(sizes if expected is None else expected)[:, None]
        yield Batch(rows, (used / by)[:, None], sizes)


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
    course: Course | None = None,
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
        course: what is done differently.

    Raises:
        Diverged: a weight is no longer finite.
    """
    stack = Stack(networks, device)
    wanted = probabilities(targets, stack.widths[-1], recipe.label_smoothing).to(device)
    optimizer, sums = stack.optimiser(recipe, course is not None and course.head_only), _Sums(len(networks), device)
    random = course is not None and course.private is not None
    drawn = [batches(s.numpy("order"), rows, recipe, random) for s, rows in zip(streams, members, strict=True)]
    per_epoch = len(bounds(len(members[0]), recipe.batch_size))
    expected = [len(rows) / per_epoch for rows in members] if random else None
    steps, step = recipe.epochs * per_epoch, 0
    for number in range(recipe.epochs):
        last = sums if number == recipe.epochs - 1 or (course is not None and course.watch is not None) else None
        if last is not None:
            last.reset()
        today = epoch([next(own) for own in drawn], expected)
        for segment in _segments(today, stack.widths[0]):
            for x, target, weights, batch in _gathered(stack, segment, records, wanted, raw=course is not None):
                set_rate(optimizer, learning_rate(recipe.learning_rate, step, steps))
                if course is None:
                    _step(stack, x, target, weights, last)
                else:
                    side = course.side(batch.sizes, batch.rows.shape[1], streams, expected)
                    take_course(stack, course, records.shaped(x), target, weights, side, last)
                optimizer.step()
                step += 1
        ends = number == recipe.epochs - 1
        if (ends or number % CHECKED_EVERY == 0) and not bool(torch.isfinite(stack.flat).all()):
            raise Diverged("mlp", recipe, number)
        if report is not None:
            report((number + 1) / recipe.epochs)
        if course is not None and course.watch is not None and course.watch.stack(stack):
            break
    if course is not None and course.watch is not None:
        course.watch.best(stack)
    stack.write()
    return sums.trained([len(rows) for rows in members], step)


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
    stack: Stack, segment: Sequence[Batch], records: Records, wanted: torch.Tensor, raw: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float | torch.Tensor, Batch]]:
    """Normalised records (K, batch, inputs), targets (K, classes, batch) and weights of each batch of a segment; the
    records as they are encoded where ``raw``.

    One gather for many steps: at this size a step is mostly the overhead of its calls.
    """
    rows = np.stack([batch.rows for batch in segment])
    flat = rows.ravel()
    x = records.take(flat).to(stack.device).view(*rows.shape, -1)
    x = x if raw else stack.normalise(x)
    target = wanted.index_select(0, torch.from_numpy(flat).to(stack.device)).view(*rows.shape, -1).transpose(2, 3)
    for inputs, targets, batch in zip(x.unbind(0), target.unbind(0), segment, strict=True):
        weights = batch.weights.to(stack.device) if isinstance(batch.weights, torch.Tensor) else batch.weights
        yield inputs, targets, weights, batch


def _step(
    stack: Stack, x: torch.Tensor, target: torch.Tensor, weights: float | torch.Tensor, sums: _Sums | None
) -> None:
    reads, logits = stack.forward(x)
    # The gradient of softmax cross-entropy: every row of targets sums to 1.
    error = torch.softmax(logits, 1).sub_(target).mul_(weights)
    stack.backward(reads, error)
    if sums is not None:
        sums.add(logits, target, weights)


def take_course(
    stack: Stack,
    course: Course,
    x: torch.Tensor,
    target: torch.Tensor,
    weights: float | torch.Tensor,
    side: Side,
    sums: _Sums | None,
) -> None:
    """Fill the gradients by the course's lesson; ``x`` (K · batch, ...) encoded, the rest as for a plain step."""
    flat_targets = target.transpose(1, 2).reshape(len(x), -1)
    if course.private is not None:
        reads, logits = stack.forward(stack.read(course.lesson.moved(stack.uphill, x, flat_targets, side)))
        if sums is not None:
            sums.add(logits, target, weights)
        _private_step(stack, course.private, reads, torch.softmax(logits, 1).sub_(target), weights, side)
        return
    leaf, layers = stack.learnable()
    losses, logits = course.lesson.losses(lambda x: stack.answers(x, layers), stack.uphill, x, flat_targets, side)
    per_record = weights if isinstance(weights, float) else weights.expand(-1, 1, side.width).reshape(-1)
    (losses * per_record).sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    assert stack.flat.grad is not None
    stack.flat.grad.copy_(leaf.grad)
    if sums is not None and logits.shape[1] == target.shape[1]:
        sums.add(logits.detach().view(stack.count, side.width, -1).transpose(1, 2), target, weights)


def _private_step(
    stack: Stack,
    private: Private,
    reads: list[torch.Tensor],
    error: torch.Tensor,
    weights: float | torch.Tensor,
    side: Side,
) -> None:
    """The noisy sum of clipped gradients, each network's divided by the size of batch that it expects."""
    factors = private.factors(stack.gradient_norms(reads, error))[:, None]
    stack.backward(reads, error.mul_(factors).mul_(weights))
    if max(private.deviations) > 0:
        noise = torch.stack([torch.randn(stack.size, generator=one) for one in side.generators]).to(stack.device)
        by = torch.tensor([[a / b] for a, b in zip(private.deviations, side.expected, strict=True)])
        stack.add_to_gradients(noise * by.to(stack.device))


class _Sums:
    """Loss and right answers of every network over the last epoch."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.loss = torch.zeros(count, device=device)
        self.right = torch.zeros(count, device=device)

    def reset(self) -> None:
        """Forget what was added."""
        self.loss, self.right = torch.zeros_like(self.loss), torch.zeros_like(self.right)

    @torch.no_grad()
    def add(self, logits: torch.Tensor, target: torch.Tensor, weights: float | torch.Tensor) -> None:
        used = torch.ones((), device=logits.device) if isinstance(weights, float) else (weights > 0).float()[:, 0]
        self.loss += (-(torch.log_softmax(logits, 1) * target).sum(1) * used).sum(1)
        self.right += ((logits.argmax(1) == target.argmax(1)) * used).sum(1)

    def trained(self, sizes: Sequence[int], steps: int) -> list[Trained]:
        losses, rights = self.loss.tolist(), self.right.tolist()
        return [Trained(a / n, b / n, steps) for a, b, n in zip(losses, rights, sizes, strict=True)]
