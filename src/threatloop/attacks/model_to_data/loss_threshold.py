"""Membership inference by the model's loss."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.membership import Floats, ask_signals
from threatloop.algorithms.membership_forms import ScoreMembership
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class LossThreshold(ScoreMembership):
    """Takes records with a low loss for members; one threshold for all records.

    Threat model: the attacker holds labelled candidates and reads the model's scores. He trains nothing.

    Returns the array ``score``, float64 (candidates,): the modality's membership signal, a monotone function of the
    loss that does not tie where probabilities round to 1; larger is more member-like, NaN where the budget ended
    before the record was asked. One query per candidate.

    Yeom, Giacomelli, Fredrikson, Jha 2018, "Privacy Risk in Machine Learning: Analyzing the Connection to
    Overfitting", arXiv 1709.01604, section 3 (ranked instead of cut at one threshold).

    Raises:
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference by loss",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; nothing of the training",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("membership",),
        paper="Yeom, Giacomelli, Fredrikson, Jha 2018, Privacy Risk in Machine Learning, arXiv 1709.01604, section 3",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES}),
        atlas=("AML.T0024.000",),
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""

        def keep(signals: Floats) -> None:
            bench.progress.keep(_evidence(signals))

        candidates = bench.data(Resource.CANDIDATES)
        return _evidence(ask_signals(source, candidates, bench.streams.numpy("order"), keep, self.expectation))


def _evidence(signals: Floats) -> Evidence:
    return Evidence({"score": signals})
