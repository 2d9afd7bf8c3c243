"""Membership inference by the model's confidence in the label, one threshold per class."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop import modality
from threatloop.algorithms.membership_forms import ScoreMembership
from threatloop.algorithms.thresholds import threshold_scores
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class ConfidenceThreshold(ScoreMembership):
    """Takes records whose label the model is sure of for members.

    Threat model: the attacker holds labelled candidates, reads the model's scores, and has trained shadow models like
    the victim; without ``calibrated`` they are not used.

    Returns the array ``score``, float64 (candidates,): the modality's membership signal, a monotone function of the
    confidence that does not tie where probabilities round to 1, less the threshold of the record's class; larger is
    more member-like, NaN where the budget ended before the record was asked. One query per candidate.

    Song, Mittal 2021, "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595,
    section 3.2. Without ``calibrated`` it ranks as the loss does.

    Attributes:
        calibrated: one threshold per class, at which the shadow models' in and out answers are told apart best.

    Raises:
        InputError: shadow models that do not fit the candidates.
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference by confidence",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("membership",),
        paper="Song, Mittal 2021, Systematic Evaluation of Privacy Risks of Machine Learning Models, "
        "arXiv 2003.10595, section 3.2",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.SHADOWS}),
        atlas=("AML.T0024.000",),
    )

    calibrated: bool = Field(default=True)

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        kind = modality.of(bench.data(Resource.CANDIDATES).schema)
        return threshold_scores(source, bench, kind.membership_signal, self.calibrated, self.expectation)
