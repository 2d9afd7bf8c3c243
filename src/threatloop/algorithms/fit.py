"""The training loop: one for all architectures, and a faster path for multilayer perceptrons with the same result."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.augment import augmentation
from threatloop.algorithms.batches import Records, batches, bounds, learning_rate, statistics
from threatloop.algorithms.course import Course, Side
from threatloop.algorithms.fit_mlp import train_stack
from threatloop.algorithms.mlp_stack import stackable
from threatloop.algorithms.objectives import Tally, cross_entropy, tally, targets_of
from threatloop.algorithms.optimisers import optimiser, set_rate
from threatloop.algorithms.outcome import Diverged, Report, Trained
from threatloop.algorithms.private_steps import private_gradient
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.models.build import build
from threatloop.models.device import bfloat16_is_fast, resolve
from threatloop.models.network import Network, dump, restore

Soft = npt.NDArray[np.float32]


def fit(
    architecture: Architecture,
    data: Dataset,
    recipe: Recipe,
    streams: Streams,
    *,
    soft_targets: Soft | None = None,
    init: Model | None = None,
    device: str = "cpu",
    progress: Report | None = None,
    allow_code: bool = False,
) -> Model:
    """Train one model. The same arguments give the same weights, bit for bit, on one machine.

    Args:
        architecture: what to build; where its mean or std is None, that is taken from ``data``.
        data: the training records.
        recipe: how to train.
        streams: roles ``init`` (initial weights), ``order`` (of the records) and ``augment``.
        soft_targets: probabilities (n, classes), float32, that replace the labels.
        init: weights and preprocessing to start from, in place of drawn ones; of the same architecture.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        progress: called after every epoch with the share done, in (0, 1].
        allow_code: whether an architecture that names code may be built.

    Returns:
        The model; its notes hold train_loss, train_accuracy (both over the last epoch), epochs, steps and seconds.

    Raises:
        InputError: no records, or parts that do not fit each other.
        Diverged: the loss is no longer finite.
    """
    started = time.perf_counter()
    place = resolve(device)
    records, targets = Records.of(data), targets_of(data, soft_targets)
    network = prepare(architecture, data, streams, init=init, allow_code=allow_code)
    if stackable(network) and recipe.augment == "none":
        members = np.arange(len(data))
        trained = train_stack([network], records, [members], targets, recipe, [streams], place, progress)[0]
    else:
        trained = train(network, records, targets, recipe, streams, place, progress, name=architecture.name)
    return dump(network, architecture, data.schema, trained.notes(recipe, time.perf_counter() - started))


def prepare(
    architecture: Architecture,
    data: Dataset,
    streams: Streams,
    *,
    init: Model | None = None,
    allow_code: bool = False,
) -> Network:
    """A network ready for its first step: initial weights, and preprocessing from the data where none is stated.

    Raises:
        InputError: ``init`` is of another architecture; otherwise as `build`.
    """
    generator = torch.Generator().manual_seed(streams.integer("init"))
    network = build(architecture, data.schema, generator, allow_code=allow_code)
    if init is not None:
        restore(network, init.weights)
    elif architecture.mean is None or architecture.std is None:
        found = statistics(data)
        network.normalise_by(
            found.mean if architecture.mean is None else None, found.std if architecture.std is None else None
        )
    return network


def train(
    network: Network,
    records: Records,
    targets: torch.Tensor,
    recipe: Recipe,
    streams: Streams,
    device: torch.device,
    report: Report | None = None,
    *,
    name: str = "network",
    members: npt.NDArray[np.int64] | None = None,
    course: Course | None = None,
) -> Trained:
    """Train any network in place, by autograd. Arguments as `fit` prepares them; ``targets`` one row per record.

    Networks with convolutions run channels-last and, where the processor multiplies it in hardware, in bfloat16
    with float32 weights.

    Args:
        members: positions of the records that are trained on; None for all.
        course: what is done differently.

    Raises:
        Diverged: the loss is no longer finite.
    """
    run = _Run.of(network, recipe, device)
    augment = augmentation(recipe, records.data.schema)
    noise = torch.Generator().manual_seed(streams.integer("augment"))
    own = np.arange(len(targets)) if members is None else members
    random = course is not None and course.private is not None
    per_epoch = len(bounds(len(own), recipe.batch_size))
    steps, step, sums, watch = recipe.epochs * per_epoch, 0, _Sums(), course.watch if course else None
    for number, today in enumerate(batches(streams.numpy("order"), own, recipe, random)):
        sums = _Sums()
        for rows in today:
            x, y = augment(records.take(rows), noise), targets[torch.from_numpy(rows)]
            rate = learning_rate(recipe.learning_rate, step, steps)
            if course is None:
                sums.add(run.step(x, y, rate))
            else:
                side = course.side([len(rows)], len(rows), [streams], [len(own) / per_epoch])
                sums.add(run.follow(x, y, rate, course, side))
            step += 1
        if not math.isfinite(float(sums.loss)):
            raise Diverged(name, recipe, number)
        if report is not None:
            report((number + 1) / recipe.epochs)
        if watch is not None and watch.network(network):
            break
    if watch is not None:
        watch.best(network)
    return Trained(float(sums.loss / sums.count), float(sums.right / sums.count), step)


@dataclass(frozen=True)
class _Run:
    """A network in training: where it runs, in which format, and what it minimises."""

    network: Network
    optimizer: torch.optim.Optimizer
    device: torch.device
    smoothing: float
    convolutional: bool

    @classmethod
    def of(cls, network: Network, recipe: Recipe, device: torch.device) -> _Run:
        network.train().to(device)
        convolutional = any(p.dim() == 4 for p in network.parameters())
        if convolutional:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = optimiser([p for p in network.parameters() if p.requires_grad], recipe, device)
        return cls(network, optimizer, device, recipe.label_smoothing, convolutional)

    def step(self, x: torch.Tensor, y: torch.Tensor, rate: float) -> Tally:
        x, y = x.to(self.device), y.to(self.device)
        logits = self.logits(x)
        loss = cross_entropy(logits.float(), y, self.smoothing)
        self._descend(loss, rate)
        return tally(logits, y, loss)

    def follow(self, x: torch.Tensor, y: torch.Tensor, rate: float, course: Course, side: Side) -> Tally:
        """One step by a course's lesson."""
        x, y = x.to(self.device), y.to(self.device)
        if course.private is not None:
            if len(x):
                x = course.lesson.moved(self.uphill, x, y, side)
            found = private_gradient(self.network, self.smoothing, course.private, x, y, side)
            set_rate(self.optimizer, rate)
            self.optimizer.step()
            return found
        losses, logits = course.lesson.losses(self.logits, self.uphill, x, y, side)
        self._descend(losses.mean(), rate)
        return Tally(*(one.detach() for one in (losses.sum(), *self._right(logits, y))))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The learning network's answers."""
        if self.convolutional:
            x = x.contiguous(memory_format=torch.channels_last)
        half = self.convolutional and bfloat16_is_fast(self.device.type)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits: torch.Tensor = self.network(x)
        return logits

    def uphill(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The gradient of every record's cross-entropy at the record, the network in eval mode."""
        self.network.eval()
        x = x.detach().requires_grad_(True)
        loss = -(targets * torch.log_softmax(self.logits(x).float(), 1)).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        self.network.train()
        return gradient

    def _right(self, logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        same = logits.shape[1:] == y.shape[1:]
        right = (logits.argmax(1) == y.argmax(1)).sum() if same else torch.zeros(())
        return right, torch.tensor(len(logits))

    def _descend(self, loss: torch.Tensor, rate: float) -> None:
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        set_rate(self.optimizer, rate)
        self.optimizer.step()


class _Sums:
    """Loss, right answers and answers over one epoch; read once, so that an accelerator need not wait at every step."""

    def __init__(self) -> None:
        self.loss = self.right = self.count = torch.zeros(())

    def add(self, tally: Tally) -> None:
        self.loss, self.right = self.loss + tally.loss, self.right + tally.right
        self.count = self.count + tally.count
