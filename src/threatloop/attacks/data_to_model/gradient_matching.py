"""Witches' Brew: targeted, clean-label poison by gradient matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.poisoning import (
    changed,
    class_problems,
    rate_problems,
    share_problems,
    target_problems,
)
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training
from threatloop.modality import of

Floats = npt.NDArray[np.float32]
RADIUS = 16 / 255
"""The paper's, for CIFAR-10."""


class GradientMatching(DataToModel):
    """Perturbs correctly labelled records so that training on them moves chosen test records to another class.

    Threat model: the attacker contributes records, chooses their content within a maximum-norm ball and not their
    labels; he holds other records of the kind and can train models like the victim. He knows the records that he
    wants misclassified, and cannot change them. Each target is to be taken for the class after its own.

    The poisons of a target are records of its intended class: those that pull hardest at a surrogate, since what a
    network has long settled cannot push it. Their training gradient is turned towards the gradient that would teach
    the target the intended class, on surrogates trained on the pool and the contribution, and trained anew on the
    poison. A victim trained from scratch follows in part: on digits, with 3 % of the training data and one target at a
    time, 12 of 30 took the target for the class meant; no success is shown yet on convolutional networks.

    Returns the contribution with ``round(rate * m)`` of the m records of each intended class changed; labels, order
    and ids as they were.

    Geiping, Fowl, Huang, Czaja, Taylor, Moeller, Goldstein 2021, "Witches' Brew: Industrial Scale Data Poisoning via
    Gradient Matching", arXiv 2009.02276, section 3: cosine matching, signed Adam, restarts, ensembles; without its
    differentiable augmentation. Choice of records and retraining: Souri et al. 2022, "Sleeper Agent", arXiv
    2106.08970, section 3.

    Attributes:
        targets: how many test records are attacked.
        rate: share of the contribution's records of an intended class that are changed, in (0, 1]. The paper's budget
            is 1 % of all training data.
        epsilon: radius, of the range from black to white or of four standard deviations of a column; None for the
            paper's 16/255 on records as large as CIFAR-10's, widened for smaller ones: 32/255 at 28×28, 1/4 at 8×8.
        steps: optimiser steps, over all retrainings together.
        restarts: random starts of the first lap; the best match counts. The paper has 8; on
            digits 4 matched no better than 1.
        surrogates: models that are matched at once.
        retrain: how many times the surrogates are trained anew, on the poison so far.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Gradient-matching poison (Witches' Brew)",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content only; the targets; further records of the kind; "
        "the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("targeted_success", "clean_accuracy"),
        paper="Geiping et al. 2021, Witches' Brew: Industrial Scale Data Poisoning via Gradient Matching, "
        "arXiv 2009.02276, section 3",
        baseline="honest_contribution",
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE, Resource.TARGETS}),
        atlas=("AML.T0020",),
        sweep="epsilon",
        targets="test",
    )

    targets: int = Field(default=1, ge=1)
    rate: float = Field(default=0.5, gt=0, le=1)
    epsilon: float | None = Field(default=None, gt=0, le=1)
    steps: int = Field(default=250, ge=1)
    restarts: int = Field(default=1, ge=1)
    surrogates: int = Field(default=2, ge=1)
    retrain: int = Field(default=3, ge=0)

    def work(self, workload: Workload) -> dict[str, float]:
        """Surrogates on pool and contribution; a matching step costs about as much as two training steps."""
        held, poisons = 0.45 * workload.records, 0.2 * workload.records / workload.classes * self.rate
        # Only the first lap starts anew.
        steps = self.steps * (self.restarts + self.retrain) / (1 + self.retrain)
        fits = self.surrogates * (1 + self.retrain) * held * workload.recipe.epochs
        return {"training_passes": fits + 2 * self.surrogates * steps * poisons}

    def problems(self, schema: Schema, records: int) -> list[str]:
        """Fewer than two classes, a rate that rounds to no record."""
        return class_problems(1, len(schema.classes), "a second class, number") + rate_problems(self.rate, records)

    def intended(self, targets: Dataset) -> npt.NDArray[np.int64]:
        """The class after each target's own, the first after the last; int64 (n,)."""
        return np.asarray((targets.y + 1) % targets.n_classes, dtype=np.int64)

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """More targets than there are records to choose them from."""
        return target_problems(self.targets, targets)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The poisoned contribution.

        Raises:
            InputError: fewer targets than ``targets``, or fewer than two classes.
            NotAssessable: too few records of an intended class for the rate, or records of this kind cannot be changed
                by small steps.
        """
        found = bench.data(Resource.TARGETS)
        for problem in class_problems(1, data.n_classes, "a second class, number"):
            raise InputError(problem)
        for problem in target_problems(self.targets, len(found)):
            raise InputError(problem)
        wanted = found.with_y(self.intended(found))
        self._enough(data, wanted.y)
        return self._brewed(data, wanted, bench)

    def _enough(self, data: Dataset, wanted: npt.NDArray[np.int64]) -> None:
        for label, targets in zip(*np.unique(wanted, return_counts=True), strict=True):
            n = int(np.count_nonzero(data.y == label))
            # Which classes are meant is the draw of the targets, so this is no mistake in the spec.
            for problem in share_problems(self.rate, n, n, f"records of class {label}"):
                raise NotAssessable(problem)
            if round(self.rate * n) < targets:
                raise NotAssessable(
                    f"rate {self.rate:g} gives {round(self.rate * n)} records of class {label} for {targets} targets; "
                    f"use a rate of at least {targets / n:.2g}, or fewer targets"
                )

    def _groups(self, data: Dataset, wanted: npt.NDArray[np.int64], networks: list[Any]) -> list[npt.NDArray[np.int64]]:
        """The rows that are poisoned for each target: its share of those of its class that pull hardest."""
        from threatloop.algorithms.gradient_matching import pull

        groups: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)] * len(wanted)
        for label in np.unique(wanted):
            of_class, mine = np.flatnonzero(data.y == label), np.flatnonzero(wanted == label)
            order = np.argsort(-pull(networks, data.take(of_class)), kind="stable")
            rows = of_class[order[: round(self.rate * len(of_class))]]
            for i, target in enumerate(mine):
                groups[target] = np.sort(rows[i :: len(mine)])
        return groups

    def _brewed(self, data: Dataset, wanted: Dataset, bench: Bench) -> Dataset:
        import torch

        from threatloop.algorithms.gradient_matching import Budget, match
        from threatloop.algorithms.surrogates import movable, radius, surrogates

        pool, kind = bench.data(Resource.QUERY_POOL), of(data.schema)
        training: Training = bench.resource(Resource.LIFECYCLE)
        space = movable(concatenate([pool, data]))
        generator = torch.Generator().manual_seed(bench.streams.integer("starts"))
        budget = Budget(self.epsilon or radius(RADIUS, space), max(1, self.steps // (1 + self.retrain)), self.restarts)
        groups: list[npt.NDArray[np.int64]] = []
        deltas: list[Floats | None] = [None] * len(wanted)
        poisoned, losses = data, []
        for lap in range(1 + self.retrain):
            held = concatenate([pool, poisoned])
            networks: list[Any] = surrogates(training, held, self.surrogates, bench.streams.child(f"lap-{lap}"))
            groups = groups or self._groups(data, wanted.y, networks)
            for i, rows in enumerate(groups):
                aim = wanted.take(np.array([i]))
                matched = match(networks, data.take(rows), aim, space, budget, generator, deltas[i])
                deltas[i] = matched.delta
                poisoned = changed(poisoned, rows, kind.moved(data.x[rows], matched.delta, data.schema))
                losses.append((matched.first, matched.last))
        # Later laps start from what the first one found, and may have little left to gain.
        before, after = losses[: len(groups)], losses[-len(groups) :]
        bench.progress.note("loss_first", float(np.mean([first for first, _ in before])))
        bench.progress.note("loss_last", float(np.mean([last for _, last in after])))
        return poisoned
