"""How well an attacker tells the victim's architecture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.core.assets import Architecture, Evidence, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading


class ArchitectureInference(Metric):
    """The probability that the attacker gave to the true architecture; in [0, 1].

    Where the truth is none of the candidates, the one of its family nearest in depth, then in width, counts as the
    truth. Further readings: ``family``, the probability given to all candidates of the family, and ``right``, 1 where
    the true candidate was the likeliest, else 0 (shared by as many as tie).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Architecture inference",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "victim"}),
        meaning="Probability that the attacker gives to the victim's true architecture, or to the nearest candidate of "
        "its family.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.candidates import nearest

        truth = case.get("victim", Model).architecture
        evidence = case.get("outcome", Evidence)
        candidates = [Architecture.model_validate(one) for one in evidence.notes["candidates"]]
        probability = np.asarray(evidence.arrays["probability"], dtype=np.float64)
        names = ("architecture_inference", "architecture_inference.family", "architecture_inference.right")
        found = nearest(truth, candidates)
        if found is None:
            why = f"no candidate is a {truth.name}, as the victim is"
            return Graded(tuple(Reading(name, None, 0, undefined=why) for name in names))
        position, _ = found
        likeliest = probability == probability.max()
        family = sum(p for p, one in zip(probability, candidates, strict=True) if one.name == truth.name)
        values = (probability[position], min(1.0, family), likeliest[position] / likeliest.sum())
        return Graded(tuple(Reading(name, float(value), 1) for name, value in zip(names, values, strict=True)))
