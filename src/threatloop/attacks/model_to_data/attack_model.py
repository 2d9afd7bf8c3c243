"""Membership inference by a classifier trained on shadow models' answers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.attack_classifier import Learner, features, learned, signs
from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.membership_forms import ScoreMembership
from threatloop.algorithms.shadow_answers import shadow_values, shadows_of
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class AttackModel(ScoreMembership):
    """Learns from shadow models how answers on training records differ from answers on others.

    Threat model: the attacker holds labelled candidates, reads the model's scores, and can train models like the
    victim. One attack model serves all records; it is told their class.

    Returns the array ``score``, float64 (candidates,): the attack model's log-odds of membership; larger is more
    member-like, NaN where the budget ended before the record was asked. One query per candidate.

    Shokri, Stronati, Song, Shmatikov 2017, "Membership Inference Attacks against Machine Learning Models",
    arXiv 1610.05820, section V; Salem et al. 2019, "ML-Leaks", arXiv 1806.01246 (sorted answers, one attack model);
    Nasr, Shokri, Houmansadr 2019, arXiv 1812.00910 (label and loss as features). One attack model with the class as a
    feature stands for Shokri's one per class, which starve where classes are many.

    Attributes:
        learner: ``logistic`` or boosted ``trees``, which take a surer answer for no less member-like; ``best`` of both
            on shadow models held back; or ``free`` trees without that sign. Free trees find more where records
            can be told from each other by their answers (AUC .58 against .55 on digits with 32 shadow models), nothing
            elsewhere (.49 against .54 on breast_cancer), and misjudge answers that are not like the shadow models', so
            that a planted leak escapes them. A likelihood ratio such as LiRA's tells records apart more reliably.

    Raises:
        InputError: shadow models that do not fit the candidates.
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference by an attack model",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("membership",),
        paper="Shokri, Stronati, Song, Shmatikov 2017, Membership Inference Attacks against Machine Learning Models, "
        "arXiv 1610.05820, section V; Salem et al. 2019, ML-Leaks, arXiv 1806.01246",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.SHADOWS}),
        atlas=("AML.T0024.000",),
    )

    learner: Learner = Field(default="best")

    def work(self, workload: Workload) -> dict[str, float]:
        """One query per candidate, and the training of the attack model."""
        return {"scoring_passes": float(workload.records), "seconds": 5.0}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates, shadows = bench.data(Resource.CANDIDATES), shadows_of(bench)
        rows = shadow_values(shadows, candidates, features)
        directions = signs(rows.shape[2], candidates.n_classes)
        model = learned(rows, shadows.masks, directions, self.learner, bench.streams.numpy("attack model"))

        def evidence(asked: Floats) -> Evidence:
            known = np.isfinite(asked[:, 0])
            scores = np.full(len(candidates), np.nan)
            scores[known] = model.decision_function(asked[known])
            return Evidence({"score": scores})

        def keep(asked: Floats) -> None:
            bench.progress.keep(evidence(asked))

        return evidence(
            ask_values(source, candidates, bench.streams.numpy("order"), keep, features, expectation=self.expectation)
        )
