"""Distillation that chooses its queries in rounds, by what the clone so far does not know."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field

from threatloop.algorithms.distil import Distillation, Targets
from threatloop.algorithms.queries import draw
from threatloop.algorithms.selection import Rows, Strategy, choose
from threatloop.core.assets import Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import Workload
from threatloop.core.training import Training


class ActiveDistillation(Distillation):
    """A clone trained on queries that clones before it chose; subclasses say where the labels come from.

    The first round asks what the random thief asks first. Clones between rounds continue each other; the last one is
    trained from scratch on all answers, exactly like the random thief's, so that the choice alone differs.

    Attributes:
        strategy: ``uncertainty`` (smallest margin between two classes), ``kcenter`` (farthest from what was asked, in
            the clone's answers) or ``both``: spread over the most uncertain.
        rounds: how often to choose, ≥ 1; the queries are shared out evenly. One round is the random thief.
    """

    strategy: Strategy = "both"
    rounds: int = Field(default=5, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """The last training, about half as much again per round between, and scoring of the pool in every round."""
        whole = super().work(workload)
        return {
            "training_passes": whole["training_passes"] * (1 + self.rounds / 2),
            "scoring_passes": whole["scoring_passes"] + self.rounds * float(max(workload.records, self.queries)),
        }

    def steal(self, service: Service, bench: Bench) -> Service:
        """A clone that its owner may use without limits. Arguments and errors as `Distillation.steal`."""
        pool = self.asked_about(bench)
        candidates = draw(pool, max(len(pool), self.queries), bench.streams.numpy("queries"))
        left = self.queries if service.ledger.left is None else service.ledger.left
        if left <= 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        rows, targets = self._asked(service, candidates, min(left, self.queries), bench)
        clone = self.trained(candidates.take(rows), targets, bench)
        bench.progress.keep(clone)
        if left < self.queries:
            self.label(service, candidates.take(_others(candidates, rows)[: self.queries - left]), bench)
        return clone

    def _asked(self, service: Service, candidates: Dataset, total: int, bench: Bench) -> tuple[Rows, Targets]:
        """Positions of the chosen records and their labels, in the order in which they were asked."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        cuts = np.unique(np.linspace(0, total, self.rounds + 1).round().astype(int))
        oracle = self.oracle(service, total, bench)
        rows = np.arange(cuts[1])
        targets = oracle(candidates.take(rows))
        clone: Model | None = None
        for done, then in pairwise(cuts[1:]):
            if then >= len(candidates):
                # Nothing is left to choose from: the rest is asked in the random thief's order.
                more = _others(candidates, rows)[: then - done]
            else:
                clone = self._between(candidates.take(rows), targets, bench, clone)
                answers = training.serve(clone).log_probs(candidates.x)
                rest = _others(candidates, rows)
                more = rest[choose(self.strategy, answers[rest], answers[rows], then - done)]
            targets = np.concatenate([targets, oracle(candidates.take(more))])
            rows = np.concatenate([rows, more])
        return rows, targets

    def _between(self, asked: Dataset, targets: Targets, bench: Bench, clone: Model | None) -> Model:
        """The clone that chooses next: continues the one before, for its share of the steps."""
        share = self.model_copy(update={"steps": -(-self.steps // self.rounds)}) if clone else self
        return share.train(asked, targets, bench, "choosing", clone)


def _others(candidates: Dataset, rows: Rows) -> Rows:
    """Positions that are not among ``rows``, in order."""
    free = np.ones(len(candidates), dtype=bool)
    free[rows] = False
    return np.flatnonzero(free)
