"""How much of a document was read out of its embedding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.algorithms.grading import mean, rate
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading
from threatloop.modality.conversation import read, text_of, texts_in
from threatloop.numerics.bleu import bleu, word_f1
from threatloop.numerics.common_words import words_of

NOTHING = "there are no documents"


class TextInversion(Metric):
    """Mean F1 of the words of the recovered texts with those of the documents.

    Readings: ``text_inversion``; ``text_inversion.bleu``, mean BLEU-4; ``text_inversion.exact``, the share with all
    words in their order, but for case and punctuation; ``text_inversion.words``, the F1 of the words that were read out
    without a text around them, where there are such; ``text_inversion.cosine``, the mean cosine of embeddings that the
    attack claims; ``text_inversion.meaning``, the mean cosine under a sentence encoder that need not be the store's,
    where one is installed. Records ``document``, ``f1``, ``cosine``.

    Morris et al. 2023, arXiv 2310.06816, section 5 (their measures).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Documents read out of embeddings (word F1)",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"stored"}),
        meaning="How many words of a stored document the attack recovers from its embedding, as F1.",
    )

    def grade(self, case: Case) -> Graded:
        """Grade recovered texts.

        Raises:
            InputError: there is not one text per document.
        """
        documents = [text_of(record) for record in read(case.get("stored", Dataset).x)]
        arrays = case.get("outcome", Evidence).arrays
        guesses = texts_in(arrays["guess"])
        if len(guesses) != len(documents):
            raise InputError(f"text inversion: {len(guesses)} texts for {len(documents)} documents; need one each")
        pairs, name = list(zip(documents, guesses, strict=True)), "text_inversion"
        scores = np.array([word_f1(true, said) for true, said in pairs])
        equal = np.array([words_of(true) == words_of(said) for true, said in pairs])
        readings = [
            mean(name, scores, NOTHING),
            mean(f"{name}.bleu", np.array([bleu(true, said) for true, said in pairs]), NOTHING),
            rate(f"{name}.exact", equal, NOTHING),
            mean(f"{name}.cosine", np.asarray(arrays["cosine"], np.float64), NOTHING),
            self._meaning(documents, guesses, case.device),
        ]
        if "words" in arrays:
            bags = zip(documents, texts_in(arrays["words"]), strict=True)
            readings.append(mean(f"{name}.words", np.array([word_f1(true, bag) for true, bag in bags]), NOTHING))
        columns = {"document": np.arange(len(pairs)), "f1": scores, "cosine": arrays["cosine"]}
        return Graded(tuple(readings), records=columns)

    def _meaning(self, documents: list[str], guesses: list[str], device: str) -> Reading:
        from threatloop.algorithms.similarity import embedding_cosine

        try:
            return mean("text_inversion.meaning", embedding_cosine(documents, guesses, device), NOTHING)
        except NotAssessable as reason:
            return Reading("text_inversion.meaning", None, 0, undefined=str(reason))
