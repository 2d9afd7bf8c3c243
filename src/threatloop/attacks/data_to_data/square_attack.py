"""Adversarial examples by random search on scores."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.evasion import Evasion, Trial
from threatloop.algorithms.fallback import or_from_labels
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.step import AttackInfo, Direction, Step, Workload

CHUNK = 256


class SquareAttack(Evasion):
    """Random search with patches on the rim of the ball, on the victim's scores; no gradients, so none can be hidden.

    Threat model: the attacker sees the victim's scores for records of his choice, and knows the true labels.

    Returns what `Evasion` says. Asks at most ``queries_per_record`` records for each attacked one, the first look
    included, and stops a record where it is broken. Where the victim's own limit is smaller, the first records get
    their whole budget and the last none. A patch is a square of pixels, or a random set of columns.
    Notes ``loss_first`` and ``loss_last``, the mean margin log p_y − log p_other.

    Andriushchenko, Croce, Flammarion, Hein 2020, "Square Attack: a query-efficient black-box adversarial attack via
    random search", arXiv 1912.00049, algorithms 1 to 3. The paper gives 5,000 to 10,000 queries; here 1,000, and the
    schedule of patch sizes is stretched to the budget.

    Attributes:
        queries_per_record: ≥ 2.
        first_share: of a record that the first patch covers, in (0, 1]; .8 as in AutoAttack (arXiv 2003.01690).

    Raises:
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples from scores (Square)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's scores and the true labels; no gradients",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Andriushchenko, Croce, Flammarion, Hein 2020, Square Attack, arXiv 1912.00049, algorithms 1 to 3",
        baseline="identity",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.001", "AML.T0015"),
        sweep="epsilon",
    )

    queries_per_record: int = Field(default=1000, ge=2)
    first_share: float = Field(default=0.8, gt=0, le=1)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """A walk on labels with the same budget, where scores are withheld or falsified."""
        return or_from_labels(self, super().adapted(to), to, "hopskipjump")

    def work(self, workload: Workload) -> dict[str, float]:
        """Every query is a forward pass."""
        return {"scoring_passes": float(self.attacked(workload) * self.queries_per_record)}

    def perturb(self, trial: Trial, bench: Bench) -> None:
        """A look at all records, then a search for each that the victim gets right."""
        import torch

        from threatloop.algorithms.black_box import lead, search

        everyone = np.arange(len(trial.origin))
        margins = lead(trial.victim.log_probs(trial.stored(trial.origin)), torch.from_numpy(trial.y))
        wrong = (margins < 0).numpy()
        if wrong.any():
            trial.offer(everyone[wrong], trial.origin[wrong])
        bench.progress.keep(trial.result())
        right = everyone[~wrong]
        patches = modality.of(trial.source.schema).patches(trial.source.schema, trial.space)
        rng, last = bench.streams.numpy("search"), []
        for first in range(0, len(right), CHUNK):
            rows = right[first : first + CHUNK]
            last.append(search(trial, rows, patches, self.queries_per_record - 1, self.first_share, rng))
            bench.progress.keep(trial.result())
            bench.progress.report((first + len(rows)) / len(right))
        if last:
            found = torch.cat(last)
            bench.progress.note("loss_first", float(margins[~wrong].mean()))
            bench.progress.note("loss_last", float(torch.minimum(found, margins[~wrong]).mean()))
