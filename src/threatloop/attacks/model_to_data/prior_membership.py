"""The baseline of membership inference: a guess that never asks the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.algorithms.class_prior import class_means
from threatloop.algorithms.record_features import channel_scale, parts, vectors
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class PriorMembership(Probe[Service]):
    """Takes typical records of their class for members, from the candidates alone.

    Members and non-members enter the class means alike, so that on an exchangeable split nothing but chance remains.

    Returns the array ``score``, float64 (candidates,): minus the distance to the mean of the record's class, in
    standard deviations per channel or column; larger is more member-like. No queries.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership guess without the model",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled candidate records, half of them members; no access to the model",
        modalities=frozenset({"image", "tabular", "text"}),
        metrics=("membership",),
        paper="Meeus, Shilov, Jain, Faysse, Rei, de Montjoye 2024, SoK: Membership Inference Attacks on LLMs are "
        "Rushing Nowhere, arXiv 2406.17975 (model-less baselines)",
        baseline="prior_membership",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.CANDIDATES}),
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The scores of all candidates."""
        candidates = bench.data(Resource.CANDIDATES)
        means, scale = class_means(candidates), channel_scale(candidates)
        scaled = ((vectors(part) - means[part.y]) / scale for part in parts(candidates))
        far = np.concatenate([(one.astype(np.float64) ** 2).mean(axis=1) for one in scaled])
        return Evidence({"score": -np.sqrt(far)})
