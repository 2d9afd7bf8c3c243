"""Adversarial examples from labels alone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.evasion import Evasion, Trial
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction, Workload


class HopSkipJump(Evasion):
    """Walks along the decision boundary towards each record, from the victim's labels alone.

    Threat model: the attacker sees the victim's label for records of his choice, and knows the true ones. He holds the
    records that he attacks, and others; one that the victim takes for another class is where a walk starts. The walk
    minimises the distance: ``epsilon`` only says which distances count as a success.

    Returns what `Evasion` says. Asks at most ``queries_per_record`` records for each attacked one, the first look
    included, and one for a record that the victim gets wrong anyway. Where the victim's own limit is smaller, the first
    records get their whole budget and the last none. Every best point is pushed out by .01 % at the end, where the
    victim errs there too: on the boundary itself, rounding decides.

    Chen, Jordan, Wainwright 2020, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", arXiv 1904.02144,
    algorithm 2. The paper reports budgets of 1,000, 5,000 and 20,000; the start is nearer than its uniform noise.

    Attributes:
        queries_per_record: ≥ 2.
        evaluations: points of the first gradient estimate, ≥ 1; the t-th takes √t times as many. 100 in the paper.

    Raises:
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples from labels (HopSkipJump)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's labels and the true ones; no scores, no gradients",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Chen, Jordan, Wainwright 2020, HopSkipJumpAttack, arXiv 1904.02144, algorithm 2",
        baseline="identity",
        needs=frozenset({Capability.LABELS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.001", "AML.T0015"),
        sweep="queries_per_record",
    )
    minimises: ClassVar[bool] = True

    queries_per_record: int = Field(default=1000, ge=2)
    evaluations: int = Field(default=100, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every query is a forward pass."""
        return {"scoring_passes": float(self.attacked(workload) * self.queries_per_record)}

    def perturb(self, trial: Trial, bench: Bench) -> None:
        """A look at all records, then a walk for each that the victim gets right."""
        import torch

        from threatloop.algorithms.label_walk import LabelWalk

        everyone = np.arange(len(trial.origin))
        others = trial.source.take(slice(len(everyone), None))
        walk = LabelWalk(trial, everyone, torch.Generator().manual_seed(bench.streams.integer("walk")), others)
        bench.progress.keep(trial.result())
        for done in walk.run(self.queries_per_record - 1, self.evaluations):
            bench.progress.keep(trial.result())
            bench.progress.report(done)
