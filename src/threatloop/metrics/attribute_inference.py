"""How often the unknown cell of a training record is inferred."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.algorithms.attributes import question
from threatloop.algorithms.grading import rate, rate_gap
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


class AttributeInferred(Metric):
    """Accuracy of the inferred answers on members.

    Readings: ``attribute_inference``; ``attribute_inference.nonmembers``, the same on candidates that the model was not
    trained on; ``attribute_inference.advantage``, the difference (Yeom et al. 2018): what is due to membership and not
    to the population. Left out: records without an answer, with a category unknown to the schema, touched,
    or the attacker's own, of which he knows the column.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Attribute inference accuracy",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"candidates", "members", "held"}),
        meaning="share of the training records whose unknown column is inferred rightly",
    )

    def grade(self, case: Case) -> Graded:
        """Grade the evidence of an attribute probe.

        Raises:
            InputError: there is not one prediction per candidate.
            NotAssessable: the column does not vary.
        """
        candidates, members = case.get("candidates", Dataset), case.get("members", Dataset)
        predicted = np.asarray(case.get("outcome", Evidence).arrays.get("predicted", np.empty(0)), np.float64)
        if predicted.shape != (len(candidates),):
            raise InputError(f"attribute inference: {predicted.shape} predictions for {len(candidates)} candidates")
        truth = question(case.get("held", Dataset), getattr(case.attack, "column", None)).codes(candidates)
        touched = list(case.facts.get("touched") or [])
        used = np.isfinite(predicted) & (truth >= 0) & (candidates.ids >= 0) & ~np.isin(candidates.ids, touched)
        if not used.any():
            raise NotAssessable("no candidate that the attack left untouched has an answer")
        member = np.isin(candidates.ids, members.ids[members.ids >= 0])
        right = predicted == truth
        inside, outside = right[used & member], right[used & ~member]
        name, nothing = "attribute_inference", "no such record was asked"
        readings = (
            rate(name, inside, nothing),
            rate(f"{name}.nonmembers", outside, nothing),
            rate_gap(f"{name}.advantage", inside, outside, "members or non-members were not asked"),
        )
        records = {"record": candidates.ids[used], "member": member[used], "right": right[used]}
        return Graded(readings, records=records)
