"""Training one model on another's answers: everything that a thief and his matched surrogate share.

They differ in one method, where the labels come from. Inputs, their order, the recipe, the number of steps and the
initial weights are the same code on the same random streams.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.queries import draw
from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.attack import ModelToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.recipe import Recipe
from threatloop.core.service import Service
from threatloop.core.step import Workload
from threatloop.core.training import Training

Targets = npt.NDArray[np.float32]
LOG_FLOOR = -30.0
"""Log-probabilities below this are noise of rounding, not knowledge: a rounded 0 must not become −∞."""


class Distillation(ModelToModel):
    """A clone trained on labelled queries; subclasses say where the labels come from.

    Attributes:
        queries: how many records to ask about, ≥ 1.
        answers: train on class probabilities (``soft``) or on the most likely class (``hard``).
        pool: ask about records of the victim's kind (``in``) or of another kind (``out``).
        architecture: of the clone; None for the victim's.
        steps: least optimisation steps, ≥ 1, however few the queries; never fewer epochs than the victim's recipe.
        temperature: soft answers are flattened to softmax(log p / temperature), ≥ 1. The clone's most likely class is
            not affected by it, but the small probabilities, which hold most of what the answer tells, then weigh in.
    """

    queries: int = Field(default=500, ge=1)
    answers: Literal["soft", "hard"] = "soft"
    pool: Literal["in", "out"] = "in"
    architecture: Architecture | None = None
    steps: int = Field(default=1000, ge=1)
    temperature: float = Field(default=3.0, ge=1)

    def with_budget(self, factor: int) -> Self:
        """More queries, and as many more optimisation steps."""
        return self.model_copy(update={"queries": self.queries * factor, "steps": self.steps * factor})

    def work(self, workload: Workload) -> dict[str, float]:
        """Training on the queries, for at least ``steps`` steps."""
        recipe = enough(workload.recipe, self.queries, self.steps)
        return {"training_passes": float(self.queries * recipe.epochs), "scoring_passes": float(self.queries)}

    @abstractmethod
    def label(self, service: Service, asked: Dataset, bench: Bench) -> Targets:
        """Training targets of the asked records, float32 (n, classes), rows sum to 1."""

    def oracle(self, service: Service, n: int, bench: Bench) -> Callable[[Dataset], Targets]:  # noqa: ARG002
        """`label` for thieves who ask in several rounds, ``n`` records in all."""
        return lambda asked: self.label(service, asked, bench)

    def steal(self, service: Service, bench: Bench) -> Service:
        """A clone that its owner may use without limits.

        Args:
            service: the victim; its ledger says how many records may be asked.
            bench: query pools, the victim's lifecycle, and in a second lap the recovered records and the first clone.

        Raises:
            BudgetExhausted: fewer queries are left than configured; the clone trained on those is kept as best result.
            NotAssessable: no query is left, or the records' modality has no valid neighbours to fill the queries with.
            InputError: the pool is empty.
        """
        asked = draw(self.asked_about(bench), self.queries, bench.streams.numpy("queries"))
        left = len(asked) if service.ledger.left is None else service.ledger.left
        if left <= 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        within, beyond = asked.take(slice(left)), asked.take(slice(left, None))
        clone = self.trained(within, self.label(service, within, bench), bench)
        bench.progress.keep(clone)
        if len(beyond):
            self.label(service, beyond, bench)
        return clone

    def targets(self, service: Service, asked: Dataset) -> Targets:
        """The service's answers as training targets, float32 (n, classes); one query per record."""
        if self.answers == "hard":
            return one_hot(service.labels(asked.x), asked.n_classes)
        return tempered(service.log_probs(asked.x), self.temperature)

    def train(self, asked: Dataset, targets: Targets, bench: Bench, role: str, init: Model | None = None) -> Model:
        """A model of the clone's architecture, from the streams below ``role``."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        return training.fit(
            asked.with_y(targets.argmax(axis=1)),
            bench.streams.child(role),
            soft_targets=targets,
            architecture=self.architecture,
            recipe=enough(training.recipe, len(asked), self.steps),
            init=init,
        )

    def asked_about(self, bench: Bench) -> Dataset:
        """The records that may be asked about."""
        if bench.has(Resource.FEEDBACK):
            return bench.data(Resource.FEEDBACK)
        return bench.data(Resource.QUERY_POOL if self.pool == "in" else Resource.OUT_OF_DISTRIBUTION)

    def trained(self, asked: Dataset, targets: Targets, bench: Bench) -> Service:
        """The clone that the thief ends with: in a second lap it continues the first one's."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        if not bench.has(Resource.PREVIOUS):
            return training.serve(self.train(asked, targets, bench, "clone"))
        return training.serve(self._continued(asked, targets, bench))

    def _continued(self, asked: Dataset, targets: Targets, bench: Bench) -> Model:
        """The second lap's clone: starts from the first one and rehearses it on the first lap's kind of records.

        New answers alone, on the narrow set of recovered records, would make the clone forget the old ones. The
        first clone holds what the first lap's answers told, and asking it costs nothing.
        """
        training: Training = bench.resource(Resource.LIFECYCLE)
        previous: Model = bench.resource(Resource.PREVIOUS)
        source = Resource.QUERY_POOL if self.pool == "in" else Resource.OUT_OF_DISTRIBUTION
        known = draw(bench.data(source), self.queries, bench.streams.numpy("rehearsal"))
        recalled = self._recalled(training.serve(previous), known)
        both = concatenate([asked, known])
        same_network = (self.architecture or training.architecture) == previous.architecture
        init = previous if same_network else None
        return self.train(both, np.concatenate([targets, recalled]), bench, "clone", init)

    def _recalled(self, clone: Service, known: Dataset) -> Targets:
        """The first clone's answers; it was trained on flattened ones, so they are flat already."""
        if self.answers == "hard":
            return one_hot(clone.labels(known.x), known.n_classes)
        return tempered(clone.log_probs(known.x), 1.0)


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> Targets:
    """Labels (n,) as float32 (n, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def tempered(log_probs: npt.NDArray[np.float32], temperature: float) -> Targets:
    """softmax(log p / temperature), float32 (n, classes): answers flattened without a change of their order.

    Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2.
    """
    scaled = np.maximum(log_probs, LOG_FLOOR).astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def enough(recipe: Recipe, n: int, steps: int) -> Recipe:
    """The recipe with as many epochs as ``steps`` take on ``n`` records, and never fewer than it has.

    Few queries make short epochs: at the victim's number of epochs the clone would be far from converged. The answers
    are targets as they are, so their labels are not smoothed again.
    """
    epochs = math.ceil(steps / math.ceil(n / recipe.batch_size))
    return recipe.model_copy(update={"epochs": max(recipe.epochs, epochs), "label_smoothing": 0.0})
