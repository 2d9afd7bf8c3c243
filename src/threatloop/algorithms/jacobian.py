"""Distillation from a few records that the clone's own gradients multiply."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.distil import Distillation, Targets
from threatloop.algorithms.queries import draw
from threatloop.core.assets import Dataset, Model, concatenate
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import Workload
from threatloop.core.training import Training
from threatloop.modality import of

if TYPE_CHECKING:
    import torch

Oracle = Callable[[Dataset], Targets]
Floats = npt.NDArray[np.float32]
SMALL_STEPS = 5
"""Steps per record towards a random class; PRADA's setting."""
CHUNK = 1024


class JacobianDistillation(Distillation):
    """A clone trained on seeds and on records a step away from them; subclasses say where the labels come from.

    Every round trains a clone on what is known, moves each known record by one step of the clone's gradient, makes it
    valid and asks about it; the set doubles until the queries are spent. The last clone is trained from scratch.

    Attributes:
        seeds: records of the pool to begin with, ≥ 1; never more than ``queries``.
        step: size of a step as a share of each channel's or column's range over the seeds, in (0, 1].
        direction: ``self`` steps away from the class that the record was answered with, along the sign of that class's
            Jacobian row; ``random`` takes several small steps towards a class drawn at random (JBDA-TR).
    """

    seeds: int = Field(default=100, ge=1)
    step: float = Field(default=0.2, gt=0, le=1)
    direction: Literal["self", "random"] = "random"

    def work(self, workload: Workload) -> dict[str, float]:
        """The last training, and as much again for all rounds between: each is half of the next."""
        whole = super().work(workload)
        return {**whole, "training_passes": 2 * whole["training_passes"]}

    def steal(self, service: Service, bench: Bench) -> Service:
        """A clone that its owner may use without limits. Arguments and errors as `Distillation.steal`."""
        left = self.queries if service.ledger.left is None else service.ledger.left
        if left <= 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        total = min(left, self.queries)
        seeds = draw(self.asked_about(bench), min(self.seeds, total), bench.streams.numpy("queries"))
        asked, targets = self._grown(seeds, total, self.oracle(service, total, bench), bench)
        clone = self.trained(asked, targets, bench)
        bench.progress.keep(clone)
        if left < self.queries:
            self.label(service, seeds.take(slice(1)), bench)
        return clone

    def _grown(self, seeds: Dataset, total: int, oracle: Oracle, bench: Bench) -> tuple[Dataset, Targets]:
        """``total`` records and their labels, seeds first."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        encoded = of(seeds.schema).encode(seeds.x, seeds.schema)
        scale = self.step * _ranges(encoded)
        rng, asked, targets = bench.streams.numpy("moves"), seeds, oracle(seeds)
        clone: Model | None = None
        while len(asked) < total:
            clone = self._between(asked, targets, bench, clone)
            rows = rng.permutation(len(asked))[: total - len(asked)]
            moved = self._moved(training.module(clone), asked.take(rows), targets[rows], scale, rng)
            targets = np.concatenate([targets, oracle(moved)])
            asked = concatenate([asked, moved])
        return asked, targets

    def _between(self, asked: Dataset, targets: Targets, bench: Bench, clone: Model | None) -> Model:
        """The clone whose gradients move the records next: continues the one before, for a share of the steps."""
        share = self.model_copy(update={"steps": -(-self.steps // 4)}) if clone else self
        return share.train(asked, targets, bench, "moving", clone)

    def _moved(
        self, network: torch.nn.Module, known: Dataset, targets: Targets, scale: Floats, rng: np.random.Generator
    ) -> Dataset:
        """Each record one step on, valid; it keeps its label and has no id."""
        modality, answered = of(known.schema), targets.argmax(axis=1)
        towards = (answered + rng.integers(1, known.n_classes, len(known))) % known.n_classes
        moved = []
        for start in range(0, len(known), CHUNK):
            rows = slice(start, start + CHUNK)
            x = np.asarray(modality.encode(known.x[rows], known.schema), dtype=np.float32)
            labels = answered[rows] if self.direction == "self" else towards[rows]
            moved.append(modality.decode(self._stepped(network, x, labels, scale), known.schema))
        return Dataset(np.concatenate(moved), known.y, known.schema, np.full(len(known), -1, dtype=np.int64))

    def _stepped(self, network: torch.nn.Module, x: Floats, labels: npt.NDArray[np.int64], scale: Floats) -> Floats:
        import torch
        import torch.nn.functional as F

        place = next(network.parameters()).device
        at, size = torch.from_numpy(np.array(x)).to(place), torch.from_numpy(scale).to(place)
        wanted = torch.from_numpy(labels).to(place)
        count = 1 if self.direction == "self" else SMALL_STEPS
        for _ in range(count):
            at.requires_grad_()
            logits = network(at).float()
            # Papernot et al. step along +sign of the answered class's row; with PRADA, towards another class.
            goal = logits.softmax(1).gather(1, wanted[:, None]).sum()
            if self.direction == "random":
                goal = -F.cross_entropy(logits, wanted, reduction="sum")
            (gradient,) = torch.autograd.grad(goal, at)
            at = (at + size / count * gradient.sign()).detach()
        return np.asarray(at.cpu().numpy(), dtype=np.float32)


def _ranges(encoded: npt.NDArray[np.floating]) -> Floats:
    """Largest minus smallest value of each channel or column over the seeds, shaped to broadcast."""
    axes = (0, *range(2, encoded.ndim))
    return np.asarray(encoded.max(axis=axes, keepdims=True) - encoded.min(axis=axes, keepdims=True), dtype=np.float32)
