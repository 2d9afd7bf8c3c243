"""The baseline of attribute inference: an imputer that never asks the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.algorithms.attributes import column_problems, hidden, imputed, question
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import AttackInfo, Direction, Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.schema import Schema
from threatloop.core.service import Service


class AttributeImputation(Probe[Service]):
    """Guesses the unknown column from the others and the label, as learned from the attacker's complete records.

    What it gets right is a fact about the population, not a leak of the model. Returns ``predicted``, float64
    (candidates,), index of the answer, and ``score``, by how much it beats the second. No queries.

    Attributes:
        column: name; None: the last categorical column, or else the last.

    Raises:
        NotAssessable: the column does not vary.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Imputation without the model",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate records with their labels and without one column; complete records of the same kind",
        modalities=frozenset({"tabular"}),
        metrics=("attribute_inference",),
        paper="Jayaraman, Evans 2022, Are Attribute Inference Attacks Just Imputation?, arXiv 2209.01292",
        baseline="attribute_imputation",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.PARTIAL, Resource.QUERY_POOL}),
    )

    column: str | None = None

    def hidden(self, data: Dataset) -> Dataset:
        """The records without the column."""
        return hidden(data, self.column)

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A column that is not there, or has one category."""
        return column_problems(schema, self.column)

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The guesses."""
        partial, pool = bench.data(Resource.PARTIAL), bench.data(Resource.QUERY_POOL)
        scores = imputed(pool, partial, question(pool, self.column), label=True)
        ranked = np.sort(scores, axis=1)
        return Evidence({"predicted": scores.argmax(axis=1).astype(np.float64), "score": ranked[:, -1] - ranked[:, -2]})
