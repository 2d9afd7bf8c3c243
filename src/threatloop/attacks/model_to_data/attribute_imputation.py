"""The baseline of attribute inference: everything that the attacker can do without asking the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.attribute_scores import without_victim
from threatloop.algorithms.attributes import column_problems, hidden, question
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training


class AttributeImputation(Probe[Service]):
    """Guesses the unknown column from the others and the label, as learned from the attacker's complete records.

    An imputer, and the attack itself on a model that the attacker trained like the victim on his own records. What it
    gets right is a fact about the population, not a leak of the model. Returns ``predicted``, float64
    (candidates,), index of the answer, and ``score``, by how much it beats the second. No queries.

    Attributes:
        column: name; None: the last categorical column, or else the last.
        models: of the attacker's own, on which he learns how to weigh both.

    Raises:
        NotAssessable: the column does not vary.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Imputation without the model",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate records with their labels and without one column; complete records of the same kind; "
        "the victim's architecture and recipe",
        modalities=frozenset({"tabular"}),
        metrics=("attribute_inference",),
        paper="Jayaraman, Evans 2022, Are Attribute Inference Attacks Just Imputation?, arXiv 2209.01292",
        baseline="attribute_imputation",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.PARTIAL, Resource.QUERY_POOL, Resource.LIFECYCLE}),
    )

    column: str | None = None
    models: int = Field(default=4, ge=1)

    def hidden(self, data: Dataset) -> Dataset:
        """The records without the column."""
        return hidden(data, self.column)

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A column that is not there, or has one category."""
        return column_problems(schema, self.column)

    def work(self, workload: Workload) -> dict[str, float]:
        """The attacker's own models, on half of his records each, and one on all of them."""
        passes = (self.models / 2 + 1) * workload.records * workload.recipe.epochs / 4
        return {"training_passes": passes, "scoring_passes": 2.0 * workload.records, "seconds": 5.0}

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The guesses."""
        partial, pool = bench.data(Resource.PARTIAL), bench.data(Resource.QUERY_POOL)
        training: Training = bench.resource(Resource.LIFECYCLE)
        asked = question(pool, self.column)
        scores = without_victim(training, pool, partial, asked, self.models, bench.streams)
        ranked = np.sort(scores, axis=1)
        return Evidence({"predicted": scores.argmax(axis=1).astype(np.float64), "score": ranked[:, -1] - ranked[:, -2]})
