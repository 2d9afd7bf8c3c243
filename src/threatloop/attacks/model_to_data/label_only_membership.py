"""Membership inference from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    from threatloop.algorithms.evasion import Trial

Floats = npt.NDArray[np.float64]
EVALUATIONS = 100
"""Points of the first gradient estimate of HopSkipJump."""


class LabelOnlyMembership(Probe[Service]):
    """Takes records that lie far from the decision boundary for members; records that the model gets wrong for none.

    Threat model: the attacker holds labelled candidates and sees labels alone, so that rounding or masking scores does
    not stop him. He trains nothing. ``boundary`` measures each record's l2 distance to the boundary by HopSkipJump;
    ``noise`` counts how often the label survives Gaussian noise of several strengths, for far fewer queries.

    Returns the array ``score``, float64 (candidates,), larger where more member-like: the distance (in pixels of
    [0, 1], or shares of columns' ranges), the whole range where no wrong answer was found, or the share of noisy copies
    that keep the label; 0 for records that are misclassified as they are. NaN for records that were not asked: a random
    ``records`` of the candidates are, fewer where the victim's limit is smaller. At most ``queries_per_record`` queries
    each.

    Choquette-Choo, Tramèr, Carlini, Papernot 2021, "Label-Only Membership Inference Attacks", arXiv 2007.14321, section
    4; Li & Zhang 2021, "Membership Leakage in Label-Only Exposures", arXiv 2007.15528, section 4 (ranked, not cut at
    one threshold). They use 2,500 queries and more.

    Attributes:
        method: ``boundary`` or ``noise``.
        records: how many candidates are asked about at most, ≥ 1.
        queries_per_record: ≥ 2.

    Raises:
        NotAssessable: records of this modality have no boundary near them, or the budget allows no query.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference from labels",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; the model's labels alone",
        modalities=frozenset({"image", "tabular"}),
        metrics=("membership",),
        paper="Choquette-Choo, Tramèr, Carlini, Papernot 2021, Label-Only Membership Inference Attacks, arXiv "
        "2007.14321, section 4; Li & Zhang 2021, arXiv 2007.15528",
        baseline="prior_membership",
        needs=frozenset({Capability.LABELS}),
        resources=frozenset({Resource.CANDIDATES}),
        atlas=("AML.T0024.000",),
        sweep="queries_per_record",
    )

    method: Literal["boundary", "noise"] = "boundary"
    records: int = Field(default=400, ge=1)
    queries_per_record: int = Field(default=1000, ge=2)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every query is a forward pass."""
        return {"scoring_passes": float(min(self.records, workload.records) * self.queries_per_record)}

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """No column that has more than one value."""
        reach = modality.of(schema).space(schema).reach("l2")
        return [] if reach > 0 else ["label_only_membership: no column may change; it needs one with several values"]

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of the candidates that are asked about."""
        import torch

        from threatloop.algorithms.label_noise import survival
        from threatloop.algorithms.label_walk import LabelWalk

        candidates = bench.data(Resource.CANDIDATES)
        order, asked = bench.streams.numpy("order").permutation(len(candidates)), self._affordable(source)
        chosen, others = order[:asked], candidates.take(order[asked:])
        trial = self._trial(candidates.take(chosen), source)
        generator = torch.Generator().manual_seed(bench.streams.integer(self.method))

        def evidence(found: Floats) -> Evidence:
            scores = np.full(len(candidates), np.nan)
            scores[chosen] = found
            return Evidence({"score": scores})

        if self.method == "noise":
            return evidence(survival(trial, self.queries_per_record, generator))
        walk = LabelWalk(trial, np.arange(len(chosen)), generator, others)
        for done in walk.run(self.queries_per_record - 1, EVALUATIONS):
            bench.progress.report(done)
        return evidence(np.minimum(trial.distance, trial.radius))

    def _affordable(self, service: Service) -> int:
        """Records that can be asked about with their whole budget; one, where not even that is left.

        Raises:
            NotAssessable: no query is left.
        """
        left = service.ledger.left
        if left == 0:
            raise NotAssessable("the query budget leaves nothing to ask")
        return self.records if left is None else max(1, min(self.records, left // self.queries_per_record))

    def _trial(self, data: Dataset, service: Service) -> Trial:
        from threatloop.algorithms.evasion import Trial

        kind = modality.of(data.schema)
        space = kind.space(data.schema, data.x)
        origin = np.ascontiguousarray(kind.encode(np.asarray(data.x), data.schema))
        return Trial(data, service, space, "l2", space.reach("l2"), True, origin)
