"""Membership inference by likelihood ratio against shadow models."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.membership import Floats, ask_signals
from threatloop.algorithms.membership_forms import ScoreMembership
from threatloop.algorithms.shadow_answers import fresh_values, shadow_values, shadows_of
from threatloop.algorithms.shadow_scoring import lira_offline, lira_online
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence, Shadows
from threatloop.core.bench import Bench, Resource
from threatloop.core.recipe import Recipe
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training

USUAL_VIEWS = {"none": 1, "shift": 5, "shift_flip": 10}
"""By the augmentation of the recipe: the record and one move each way, and all of them mirrored."""


class Lira(ScoreMembership):
    """Compares the victim's confidence in each record with that of shadow models trained with and without it.

    Threat model: the attacker holds labelled candidates, reads the model's scores, and can train models like the
    victim: ``online`` on sets that hold the candidates themselves, else only on sets without the one in question.

    Returns the array ``score``, float64 (candidates,): log-likelihood ratio in nats (online) or standardised
    confidence (offline), the mean over the views that were asked; larger is more member-like, NaN where the budget
    ended before the record was asked. ``views`` queries per candidate: first every record once, then its views.

    Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, "Membership Inference Attacks From First Principles",
    arXiv 2112.03570, sections V and VI-C (augmented views). Views count as independent, as in the authors' code: there
    are seldom enough shadow models for their covariance.

    Attributes:
        online: use shadow models trained on the record as well.
        variance: of the Gaussians per record; see `threatloop.algorithms.shadow_scoring`.
        views: of each record, itself among them; None: 1, and more where the victim's recipe augments.

    Raises:
        InputError: shadow models that do not fit the candidates, or too few of them.
        NotAssessable: the budget does not suffice for one record, or the records have no augmented views.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="LiRA membership inference",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("membership",),
        paper="Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, Membership Inference Attacks From First Principles, "
        "arXiv 2112.03570, section V",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.SHADOWS, Resource.LIFECYCLE}),
        atlas=("AML.T0024.000",),
    )

    online: bool = Field(default=True)
    variance: Literal["shrunken", "fixed", "per_record"] = "shrunken"
    views: int | None = Field(default=None, ge=1, le=18)

    def work(self, workload: Workload) -> dict[str, float]:
        """Every view is asked of the victim, and all but the first of the shadow models."""
        views = self._count(workload.recipe)
        return {"scoring_passes": float(workload.records * (views + workload.shadows * (views - 1)))}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates, shadows = bench.data(Resource.CANDIDATES), shadows_of(bench)
        kind = modality.of(candidates.schema)
        signals = [shadow_values(shadows, candidates, kind.membership_signal)]
        training: Training = bench.resource(Resource.LIFECYCLE)
        augment = training.recipe.augment
        looks = [candidates.with_x(x) for x in kind.views(candidates.x, self._count(training.recipe), augment)]
        signals += [
            fresh_values(training, shadows, look, kind.membership_signal, self.expectation) for look in looks[1:]
        ]
        scores = np.full((len(looks), len(candidates)), np.nan)

        def mean() -> Evidence:
            count = np.isfinite(scores).sum(axis=0)
            return Evidence({"score": np.where(count, np.nansum(scores, axis=0) / np.maximum(count, 1), np.nan)})

        for view, (look, own) in enumerate(zip(looks, signals, strict=True)):

            def keep(asked: Floats, view: int = view, own: Floats = own) -> None:
                scores[view] = self._score(asked, own, shadows)
                bench.progress.keep(mean())

            ask_signals(source, look, bench.streams.numpy("order"), keep, self.expectation)
        return mean()

    def _count(self, recipe: Recipe) -> int:
        return USUAL_VIEWS[recipe.augment] if self.views is None else self.views

    def _score(self, asked: Floats, signals: Floats, shadows: Shadows) -> Floats:
        lira = lira_online if self.online else lira_offline
        known = np.isfinite(asked)
        scores = lira(np.where(known, asked, 0.0), signals, shadows.masks, self.variance)
        return np.where(known, scores, np.nan)
