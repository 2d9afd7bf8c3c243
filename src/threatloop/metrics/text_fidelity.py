"""What an attack on texts costs in language and meaning."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading

MOST_TEXTS = 100


class TextFidelity(Metric):
    """Perplexity of the texts under the owner's model, pooled over tokens, > 1; and what is left of the marked texts.

    ``.marked`` and ``.original`` are the same of the marked texts and of what they were made of. ``.meaning`` is the
    mean cosine of sentence embeddings with the marked texts; it needs an encoder that is installed beside (see
    `threatloop.algorithms.similarity`), and is not computed without. ``.ngrams`` is the mean cosine of counts of three
    characters, which asks for the same letters and knows nothing of meaning. Of at most 100 texts.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Perplexity under the owner's model",
        unit="perplexity",
        worst=None,
        margin=1.0,
        needs=frozenset({"outcome", "original", "protected", "writer"}),
        meaning="how surprising the attacked texts are to the model that wrote the marked ones",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.similarity import ngram_cosine

        names = ("outcome", "protected", "original")
        sets = [case.get(name, Dataset).take(slice(0, MOST_TEXTS)) for name in names]
        readings = [
            self._perplexity(name, data, case) for name, data in zip(("", ".marked", ".original"), sets, strict=True)
        ]
        attacked, marked = (self._said(data) for data in sets[:2])
        readings.append(_mean("text_fidelity.ngrams", ngram_cosine(attacked, marked)))
        return Graded((*readings, self._meaning(attacked, marked, case.device)))

    def _perplexity(self, suffix: str, data: Dataset, case: Case) -> Reading:
        from threatloop.models.responder import responder_of

        responder = responder_of(case.get("writer", Model), case.device, allow_code=case.allow_code)
        try:
            scores = responder.log_probs(data.x)[..., 0]
        except InputError as reason:  # More tokens than the model reads, of characters that it has no token for.
            return Reading(f"text_fidelity{suffix}", None, 0, undefined=str(reason))
        counted = ~np.isnan(scores)
        if not counted.any():
            return Reading(f"text_fidelity{suffix}", None, 0, undefined="no text has a token that the model predicts")
        loss = -float(scores[counted].astype(np.float64).mean())
        return Reading(f"text_fidelity{suffix}", math.exp(min(loss, 700.0)), len(data))

    def _said(self, data: Dataset) -> list[str]:
        from threatloop.modality.conversation import read, said_in

        return [said_in(record) for record in read(data.x)]

    def _meaning(self, attacked: list[str], marked: list[str], device: str) -> Reading:
        from threatloop.algorithms.similarity import embedding_cosine

        try:
            return _mean("text_fidelity.meaning", embedding_cosine(attacked, marked, device))
        except NotAssessable as reason:
            return Reading("text_fidelity.meaning", None, 0, undefined=str(reason))


def _mean(name: str, values: npt.NDArray[np.float64]) -> Reading:
    return Reading(name, float(values.mean()), len(values))
