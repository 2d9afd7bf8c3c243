"""Which words a text has, read out of its embedding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from threatloop.core.retrieval import Vectors

Floats = npt.NDArray[np.float64]
MOST_WORDS = 5000
"""Of the vocabulary, the most frequent."""
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Tried, relative to the mean eigenvalue."""


@dataclass(frozen=True)
class WordDecoder:
    """A linear map from embeddings to how often each word occurs.

    Attributes:
        words: of the vocabulary, as they stand between spaces.
        weights: float64 (width, vocabulary).
        centre: mean embedding, (width,).
        usual: mean counts, (vocabulary,).
    """

    words: tuple[str, ...]
    weights: Floats
    centre: Floats
    usual: Floats

    @cached_property
    def places(self) -> dict[str, int]:
        """Of words in the vocabulary."""
        return {word: i for i, word in enumerate(self.words)}

    def counts(self, vectors: Vectors) -> Floats:
        """How often each word is expected in texts with such embeddings, (n, vocabulary)."""
        return np.asarray((vectors - self.centre) @ self.weights + self.usual)

    def change(self, towards: Floats) -> Floats:
        """By how much words become more frequent where an embedding moves so, (n, vocabulary)."""
        return np.asarray(towards @ self.weights)

    def sizes(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """How many words are expected in each text, ≥ 1, (n,)."""
        return np.asarray(np.maximum(1, np.rint(self.counts(vectors).sum(axis=1))), np.int64)

    def bags(self, vectors: Vectors) -> list[str]:
        """The likeliest words of each, as many as are expected, in order of how sure they are."""
        order, sizes = np.argsort(-self.counts(vectors), axis=1), self.sizes(vectors)
        return [" ".join(self.words[i] for i in row[:size]) for row, size in zip(order, sizes, strict=True)]


def learned(texts: Sequence[str], vectors: Vectors) -> WordDecoder:
    """A decoder from texts and their embeddings, at least one of each, by ridge regression.

    Song, Raghunathan 2020, "Information Leakage in Embedding Models", arXiv 2004.00053, section 4.1, learn which words
    are in a text by logistic regression, black box; least squares are solved at once, and their penalty by leaving one
    text out at a time.
    """
    counted = [Counter(text.split()) for text in texts]
    often = Counter(word for one in counted for word in one)
    words = tuple(word for word, _ in sorted(often.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS])
    places = {word: i for i, word in enumerate(words)}
    target = np.zeros((len(texts), len(words)))
    for row, one in zip(target, counted, strict=True):
        for word, count in one.items():
            if word in places:
                row[places[word]] = count
    x, centre, usual = vectors.astype(np.float64), vectors.mean(axis=0).astype(np.float64), target.mean(axis=0)
    left, sizes, right = np.linalg.svd(x - centre, full_matrices=False)
    projected, scale = left.T @ (target - usual), float((sizes**2).mean()) or 1.0

    def error(penalty: float) -> float:
        shrunk = sizes**2 / (sizes**2 + penalty * scale + 1e-12)
        leverage = np.clip((left**2 * shrunk).sum(axis=1) + 1 / len(texts), 0, 0.999)
        residual = (target - usual - left @ (shrunk[:, None] * projected)) / (1 - leverage)[:, None]
        return float((residual**2).mean())

    best = min(PENALTIES, key=error) * scale
    return WordDecoder(words, right.T @ ((sizes / (sizes**2 + best + 1e-12))[:, None] * projected), centre, usual)
