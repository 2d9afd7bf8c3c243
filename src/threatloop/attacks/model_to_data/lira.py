"""Membership inference by likelihood ratio against shadow models."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.membership import Floats, ask_signals
from threatloop.algorithms.shadow_scoring import lira_offline, lira_online
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence, Shadows
from threatloop.core.attack import AttackInfo, Direction, Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import AccessError, InputError
from threatloop.core.service import Service


class Lira(Probe[Service]):
    """Compares the victim's confidence in each record with that of shadow models trained with and without it.

    Threat model: the attacker holds labelled candidates, reads the model's scores, and can train models like the
    victim: ``online`` on sets that hold the candidates themselves, else only on sets without the one in question.

    Returns the array ``score``, float64 (candidates,): log-likelihood ratio in nats (online) or standardised
    confidence (offline); larger is more member-like, NaN where the budget ended before the record was asked. One query
    per candidate.

    Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, "Membership Inference Attacks From First Principles",
    arXiv 2112.03570, section V. One query per record: without augmented views of it.

    Attributes:
        online: use shadow models trained on the record as well.
        variance: of the Gaussians per record; see `threatloop.algorithms.shadow_scoring`.

    Raises:
        InputError: shadow models that do not fit the candidates, or too few of them.
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="LiRA membership inference",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular", "tokens"}),
        metrics=("membership",),
        paper="Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, Membership Inference Attacks From First Principles, "
        "arXiv 2112.03570, section V",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.SHADOWS}),
        atlas=("AML.T0024.000",),
    )

    online: bool = Field(default=True)
    variance: Literal["shrunken", "fixed", "per_record"] = "shrunken"

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates, shadows = bench.data(Resource.CANDIDATES), bench.resource(Resource.SHADOWS)
        if not isinstance(shadows, Shadows):
            raise AccessError("the resource shadows is no shadow ensemble")
        signals = _signals(shadows, candidates)

        def score(asked: Floats) -> Evidence:
            return Evidence({"score": self._score(asked, signals, shadows)})

        def keep(asked: Floats) -> None:
            bench.progress.keep(score(asked))

        return score(ask_signals(source, candidates, bench.streams.numpy("order"), keep))

    def _score(self, asked: Floats, signals: Floats, shadows: Shadows) -> Floats:
        lira = lira_online if self.online else lira_offline
        known = np.isfinite(asked)
        scores = lira(np.where(known, asked, 0.0), signals, shadows.masks, self.variance)
        return np.where(known, scores, np.nan)


def _signals(shadows: Shadows, candidates: Dataset) -> Floats:
    if shadows.masks.shape[1] != len(candidates):
        raise InputError(
            f"shadow models answer {shadows.masks.shape[1]} records, but there are {len(candidates)} candidates"
        )
    kind = modality.of(candidates.schema)
    return np.stack([kind.membership_signal(answers, candidates) for answers in shadows.log_probs])
