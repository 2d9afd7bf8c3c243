"""Attribute inference: the unknown cell of a partly known training record."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.attribute_scores import Floats, bayes, behaviour, combined, csmia, learned_weights
from threatloop.algorithms.attributes import Question, column_problems, hidden, imputed, question
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.schema import Schema
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.core.training import Training

BATCH = 256
Rows = npt.NDArray[np.int64]


class AttributeInference(Probe[Service]):
    """Puts every possible value into the unknown column and sees which one the model answers like its own record.

    Threat model: the attacker knows of each candidate its label and all columns but one, reads the model's scores, and
    has complete records of the same kind and the victim's recipe. A category is inferred as such; of a number, whether
    it lies above the median of the attacker's own records.

    Returns the arrays ``predicted``, float64 (candidates,), index of the answer, and ``score``, float64, by how much
    the best answer beats the second; NaN where the budget ended before the record was asked. As many queries per
    candidate as the column has answers; records are asked in random order.

    Mehnaz et al. 2022, "Are Your Sensitive Attributes Private?", arXiv 2201.09370, section 4 (``csmia``); Fredrikson et
    al. 2014, "Privacy in Pharmacogenetics", section 3 (``bayes``); Yeom et al. 2018, arXiv 1709.01604, section 4
    (advantage on members over others). ``learned`` goes on from Mehnaz's attack model: it learns on models of the
    attacker's own how much the guess without the model and the model's behaviour weigh.

    Attributes:
        column: name; None: the last categorical column, or else the last.
        method: how answers become a decision.
        models: of the attacker's own, for ``learned``.

    Raises:
        NotAssessable: the column does not vary, or the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Attribute inference",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate records with their labels and without one column; complete records of the same kind; "
        "the victim's architecture and recipe",
        modalities=frozenset({"tabular"}),
        metrics=("attribute_inference",),
        paper="Mehnaz et al. 2022, Are Your Sensitive Attributes Private?, arXiv 2201.09370, section 4; Fredrikson et "
        "al. 2014, Privacy in Pharmacogenetics, USENIX Security, section 3",
        baseline="attribute_imputation",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.PARTIAL, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0024.001",),
    )

    column: str | None = None
    method: Literal["learned", "bayes", "csmia"] = "learned"
    models: int = Field(default=4, ge=1)

    def hidden(self, data: Dataset) -> Dataset:
        """The records without the column."""
        return hidden(data, self.column)

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A column that is not there, or has one category."""
        return column_problems(schema, self.column)

    def work(self, workload: Workload) -> dict[str, float]:
        """Two answers per record, and the models of ``learned``, each on half of the attacker's records."""
        own = self.models * workload.records * workload.recipe.epochs / 8 if self.method == "learned" else 0.0
        return {"scoring_passes": 2.0 * workload.records, "training_passes": own, "seconds": 5.0}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The inferred answers."""
        partial, pool = bench.data(Resource.PARTIAL), bench.data(Resource.QUERY_POOL)
        asked = question(pool, self.column)
        training: Training = bench.resource(Resource.LIFECYCLE)
        decide = self._decision(partial, pool, asked, bench, training)
        predicted, score = np.full(len(partial), np.nan), np.full(len(partial), np.nan)
        order, answers = bench.streams.numpy("order").permutation(len(partial)), len(asked.values)
        while len(order):
            left = source.ledger.left
            affordable = BATCH if left is None else left // answers
            size = max(1, min(BATCH // answers, affordable))
            rows, order = order[:size], order[size:]
            part = partial.take(rows)
            tried = np.concatenate([asked.filled(part, v).x for v in range(answers)])
            seen = behaviour(np.split(source.log_probs(tried), answers), part)
            scores = decide(seen, rows)
            ranked = np.sort(scores, axis=1)
            predicted[rows], score[rows] = scores.argmax(axis=1), ranked[:, -1] - ranked[:, -2]
            bench.progress.keep(Evidence({"predicted": predicted.copy(), "score": score.copy()}))
        return Evidence({"predicted": predicted, "score": score})

    def _decision(
        self, partial: Dataset, pool: Dataset, asked: Question, bench: Bench, training: Training
    ) -> Callable[[Floats, Rows], Floats]:
        if self.method == "csmia":
            return lambda seen, _: csmia(seen)
        guess = imputed(pool, partial, asked, label=self.method == "learned")
        if self.method == "bayes":
            return lambda seen, rows: bayes(seen, guess[rows])
        weights = learned_weights(training, pool, asked, self.models, bench.streams)
        return lambda seen, rows: combined(seen, guess[rows], weights)
