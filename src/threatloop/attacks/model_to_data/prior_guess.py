"""The baseline of inversion: the strongest guess from what the attacker holds, without the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.class_prior import class_means
from threatloop.algorithms.recovered import recovered
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class PriorGuess(ModelToData):
    """The mean of the attacker's own records of each class.

    Returns ``per_class`` copies per class, valid records with ids −1, so that both arms are graded on equally many. No
    queries. Over a class that looks alike, such means are hard to beat: an inversion that does not beat them has
    learned nothing about the training data from the model.

    Attributes:
        per_class: records per class.

    Raises:
        InputError: the attacker holds no records.
        NotAssessable: records of this modality cannot be averaged.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Class means of the attacker's own data",
        direction=Direction.MODEL_TO_DATA,
        knowledge="labelled records of the victim's kind; no access to the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("inversion",),
        paper="the strongest guess without the model; no paper",
        baseline="prior_guess",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.QUERY_POOL}),
    )

    per_class: int = Field(default=4, ge=1)

    def recover(self, service: Service, bench: Bench) -> Dataset:  # noqa: ARG002
        """The class means."""
        pool = bench.data(Resource.QUERY_POOL)
        labels = np.repeat(np.arange(pool.n_classes), self.per_class)
        return recovered(class_means(pool)[labels], labels, pool)
