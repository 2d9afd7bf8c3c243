"""Four ways to say how well a passage fits each technique, and how often case studies use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.threats.evidence.corpus import Corpus, Example
from threatloop.threats.keywords import Bm25, stems

Floats = npt.NDArray[np.float64]
Embedder = Callable[[Sequence[str]], npt.NDArray[np.floating[Any]]]
"""Texts to unit vectors, (n, width)."""

KEYWORDS, PASSAGES = "keywords", "passages"
MEANING, DESCRIPTION = "meaning", "description"
CLASSIFIER, FREQUENCY = "classifier", "frequency"
ABSENT = -2.0
"""Decision value of a technique that the classifier never saw; below every one that it gives."""
COST = 1.0
"""Penalty of the linear classifier's errors: the library's default, not tuned."""


@dataclass(frozen=True)
class Texts:
    """Texts made ready once.

    Attributes:
        stems: of each text's words.
        vectors: unit rows, float64 (n, width); None without an embedder.
    """

    stems: Sequence[Sequence[str]]
    vectors: Floats | None

    def rows(self, chosen: Sequence[int]) -> Texts:
        vectors = None if self.vectors is None else self.vectors[list(chosen)]
        return Texts([self.stems[row] for row in chosen], vectors)


def ready(texts: Sequence[str], embedder: Embedder | None) -> Texts:
    """Stems and vectors of texts."""
    return Texts(stems(texts), None if embedder is None else np.asarray(embedder(texts), np.float64))


@dataclass(frozen=True)
class Labelled:
    """Examples made ready.

    Attributes:
        texts: of the steps.
        labels: numbers of their techniques, int (n,).
        studies: of each step.
    """

    texts: Texts
    labels: npt.NDArray[np.int64]
    studies: Sequence[str]

    def rows(self, chosen: Sequence[int]) -> Labelled:
        return Labelled(self.texts.rows(chosen), self.labels[list(chosen)], [self.studies[row] for row in chosen])


def labelled(corpus: Corpus, examples: Sequence[Example], embedder: Embedder | None) -> Labelled:
    """Examples with techniques as numbers."""
    number = {one.id: row for row, one in enumerate(corpus.techniques)}
    labels = np.array([number[one.technique] for one in examples], np.int64)
    return Labelled(ready([one.text for one in examples], embedder), labels, [one.study for one in examples])


class Signals:
    """What can be said of a passage from the techniques' descriptions and from labelled steps.

    Args:
        techniques: name and description of each.
        examples: labelled steps; may be none.
    """

    def __init__(self, techniques: Texts, examples: Labelled) -> None:
        self._techniques, self._examples = techniques, examples
        self._count = len(techniques.stems)
        grown = [list(words) for words in techniques.stems]
        for label, words in zip(examples.labels, examples.texts.stems, strict=True):
            grown[label] += words
        self._grown = Bm25(grown)
        self._single = Bm25([*techniques.stems, *examples.texts.stems])
        self._owners = np.concatenate([np.arange(self._count), examples.labels])
        self._classifier = _Linear(techniques, examples) if len(examples.labels) else None

    def of(self, texts: Texts) -> dict[str, Floats]:
        """Scores by signal, each float64 (n, techniques); larger fits better.

        ``keywords``: BM25 over a technique's description with its steps; ``passages``: BM25 of its best single text;
        ``meaning``: cosine with the mean vector of description and steps; ``description``: cosine with the
        description; ``classifier``: decision values of a linear support vector machine; ``frequency``: log of the
        number of case studies. BM25 is divided by the passage's best.
        """
        found = {
            KEYWORDS: _relative(self._grown.scores(texts.stems)),
            PASSAGES: _relative(self._best(self._single.scores(texts.stems))),
        }
        if texts.vectors is not None and self._techniques.vectors is not None:
            found[MEANING] = texts.vectors @ self._means().T
            found[DESCRIPTION] = texts.vectors @ self._techniques.vectors.T
        if self._classifier is not None:
            found[CLASSIFIER] = self._classifier.of(texts, self._count)
            found[FREQUENCY] = np.tile(self._frequency(), (len(texts.stems), 1))
        return found

    def _best(self, scores: Floats) -> Floats:
        found = np.zeros((len(scores), self._count))
        np.maximum.at(found.T, self._owners, scores.T)
        return found

    def _means(self) -> Floats:
        assert self._techniques.vectors is not None
        means = self._techniques.vectors.copy()
        if len(self._examples.labels) and self._examples.texts.vectors is not None:
            np.add.at(means, self._examples.labels, self._examples.texts.vectors)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-12))

    def _frequency(self) -> Floats:
        pairs = set(zip(self._examples.studies, self._examples.labels.tolist(), strict=True))
        return np.asarray(np.log(np.bincount([label for _, label in pairs], minlength=self._count) + 0.5))


class _Linear:
    """A linear support vector machine on TF-IDF of stems beside the vector; descriptions are examples, too."""

    def __init__(self, techniques: Texts, examples: Labelled) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.svm import LinearSVC

        self._weigher = TfidfVectorizer(analyzer=list, sublinear_tf=True)
        self._weigher.fit([*examples.texts.stems, *techniques.stems])
        both = Texts([*examples.texts.stems, *techniques.stems], _stacked(examples.texts.vectors, techniques.vectors))
        labels = np.concatenate([examples.labels, np.arange(len(techniques.stems))])
        self._machine = LinearSVC(C=COST, random_state=0).fit(self._features(both), labels)

    def _features(self, texts: Texts) -> Any:
        from scipy import sparse

        words = self._weigher.transform(texts.stems)
        return words if texts.vectors is None else sparse.hstack([words, sparse.csr_matrix(texts.vectors)]).tocsr()

    def of(self, texts: Texts, count: int) -> Floats:
        decisions = np.atleast_2d(self._machine.decision_function(self._features(texts)))
        found = np.full((len(texts.stems), count), ABSENT)
        found[:, self._machine.classes_] = decisions
        return found


def _stacked(first: Floats | None, second: Floats | None) -> Floats | None:
    return None if first is None or second is None else np.vstack([first, second])


def _relative(scores: Floats) -> Floats:
    return np.asarray(scores / scores.max(axis=1, keepdims=True).clip(1e-12))
