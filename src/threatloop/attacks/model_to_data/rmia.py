"""Membership inference by pairwise likelihood ratios against a population."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.membership import BATCH, Floats, ask_values, mean_answers
from threatloop.algorithms.membership_forms import ScoreMembership
from threatloop.algorithms.pairwise_ratio import best_a, offline, online, population, shares
from threatloop.algorithms.shadow_answers import fresh_values, shadow_values, shadows_of
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training


class Rmia(ScoreMembership):
    """Asks against how many records that nobody trained on the victim favours this one, relative to reference models.

    Threat model: the attacker holds labelled candidates and further records of the same kind, reads the model's scores,
    and can train models like the victim: ``online`` on sets that hold the candidates themselves, else only on sets
    without the one in question.

    Returns the array ``score``, float64 (candidates,): the share of the population z with LR(x, z) ≥ ``gamma``, in
    [0, 1]; records with equal shares are ordered by their own ratio, which changes no score by more than 1e-7. Larger
    is more member-like, NaN where the budget ended before the record was asked. One query per candidate and one per
    record of the population, which takes at most half of a budget that does not suffice for all.

    Zarifzadeh, Liu, Shokri 2024, "Low-Cost High-Power Membership Inference Attacks", arXiv 2312.03262, section 3.
    p(z) is the mean over all reference models, also with ``online=False``. Where z is a candidate too, as the
    attacker's own records mostly are, half of them were trained on it; such candidates are left out of the figures. For
    text, p is the geometric mean of the tokens' probabilities.

    Attributes:
        online: use shadow models trained on the record as well.
        gamma: how many times more likely counts as dominating.
        a: of the offline correction p(x) = ½ ((1 + a) p_out(x) + 1 − a), in [0, 1]; None finds it on the shadow models,
            each attacked with the others.
        population: most records z.

    Raises:
        InputError: shadow models that do not fit the candidates, or too few of them.
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="RMIA membership inference",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; others of the kind; architecture and recipe",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("membership",),
        paper="Zarifzadeh, Liu, Shokri 2024, Low-Cost High-Power Membership Inference Attacks, arXiv 2312.03262, "
        "section 3",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.SHADOWS, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0024.000",),
    )

    online: bool = Field(default=True)
    gamma: float = Field(default=2.0, gt=0)
    a: float | None = Field(default=None, ge=0, le=1)
    population: int = Field(default=1000, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """The victim answers candidates and population, the shadow models the population."""
        size = min(self.population, workload.records)
        return {"scoring_passes": float(workload.records + size * (1 + workload.shadows))}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates, shadows = bench.data(Resource.CANDIDATES), shadows_of(bench)
        training: Training = bench.resource(Resource.LIFECYCLE)
        others = self._population(source, bench, len(candidates))
        losses = modality.of(candidates.schema).losses

        def value(answers: npt.NDArray[np.float32], data: Dataset) -> Floats:
            return np.asarray(-losses(answers, data))

        known = shadow_values(shadows, candidates, value)
        if self.online:
            log_px = online(known, shadows.masks)
        else:
            log_px = offline(known, shadows.masks, best_a(known, shadows.masks) if self.a is None else self.a)
        log_pz = population(fresh_values(training, shadows, others, value, self.expectation))
        rows = [slice(i, i + BATCH) for i in range(0, len(others), BATCH)]
        parts = [others.take(one) for one in rows]
        left = source.ledger.left
        times = self.expectation if left is None else max(1, min(self.expectation, left // (2 * len(others))))
        log_z = np.concatenate([value(mean_answers(source.log_probs, part.x, times), part) for part in parts])

        def evidence(log_x: Floats) -> Evidence:
            return Evidence({"score": shares(log_x, log_px, log_z, log_pz, self.gamma)})

        def keep(log_x: Floats) -> None:
            bench.progress.keep(evidence(log_x))

        return evidence(
            ask_values(source, candidates, bench.streams.numpy("order"), keep, value, expectation=self.expectation)
        )

    def _population(self, source: Service, bench: Bench, candidates: int) -> Dataset:
        pool, left = bench.data(Resource.QUERY_POOL), source.ledger.left
        size = min(self.population, len(pool))
        if left is not None and left < self.expectation * (size + candidates):
            size = min(size, max(1, left // (2 * self.expectation)))
        return pool.take(bench.streams.numpy("population").permutation(len(pool))[:size])
