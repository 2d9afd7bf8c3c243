"""What a thief has who holds neither data nor answers."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.attack import ModelToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction
from threatloop.core.training import Training


class MajorityClone(ModelToModel):
    """Always answers the commonest class: the strongest guess of one who has no record to train on.

    How common the classes are counts as public knowledge, such as a prevalence. It is read off the labels of the
    attacker's pool, whose records are not looked at; an untrained network would be right less often, and flatter the
    thief where one class prevails. The answers are the class frequencies whatever the record. No queries.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="The commonest class",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="how common the classes are",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Truong, Maini, Walls, Papernot 2021, Data-Free Model Extraction, arXiv 2011.14779",
        baseline="majority_clone",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        sweep="queries",
    )

    queries: int = Field(default=20_000, ge=1)
    steps: int = Field(default=1000, ge=1)

    def steal(self, service: Service, bench: Bench) -> Service:  # noqa: ARG002
        """A linear model without weights, whose intercepts are the logarithms of the class frequencies."""
        training: Training = bench.resource(Resource.LIFECYCLE)
        pool: Dataset = bench.data(Resource.QUERY_POOL)
        linear = Architecture(name="mlp", parameters={"hidden": ()})
        once = training.recipe.model_copy(update={"epochs": 1})
        model = training.fit(pool.take(slice(1)), bench.streams.child("clone"), architecture=linear, recipe=once)
        counts = np.bincount(pool.y, minlength=pool.n_classes) + 1.0
        weights = {name: np.array(array) for name, array in model.weights.items()}
        for name in weights:
            if name.endswith("weight"):
                weights[name] = np.zeros_like(weights[name])
            if name.endswith("bias"):
                weights[name] = np.log(counts / counts.sum()).astype(np.float32)
        return training.serve(replace(model, weights=weights))
