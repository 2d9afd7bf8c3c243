"""The attacker's own texts that are nearest to what lies in a store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.retrieval import Vectors, VectorStore
from threatloop.modality.conversation import read, text_of

TINY = 1e-12
HALF = 2
"""One query in so many is spent on own texts at most, where a search follows."""


@dataclass(frozen=True)
class Corpus:
    """Texts of the attacker with their embeddings.

    Attributes:
        texts: n, none empty, none twice.
        vectors: (n, width), as `seen` shows them.
        centre: mean of the embeddings, (width,); zero of a single text.
    """

    texts: list[str]
    vectors: Vectors
    centre: Vectors

    def seen(self, vectors: Vectors) -> Vectors:
        """Vectors (m, width) from the texts' mean on, unit rows: what all texts have in common tells none of them."""
        return centred(vectors, self.centre)

    def nearest(self, vectors: Vectors, most: int) -> npt.NDArray[np.int64]:
        """Positions of the nearest texts of each vector, the nearest first, (m, ≤ most)."""
        return np.asarray(np.argsort(-(vectors @ self.vectors.T), axis=1, kind="stable")[:, :most])


def embedded(store: VectorStore, pool: Dataset, rng: np.random.Generator, share: int = 1) -> Corpus:
    """The pool's texts, in random order, as many as one in ``share`` of the queries left has room for; one at least.

    Raises:
        BudgetExhausted: there is no query left.
    """
    texts = list(dict.fromkeys(" ".join(text_of(record).split()) for record in read(pool.x)))
    texts = [text for text in texts if text]
    left = store.ledger.left
    most = len(texts) if left is None else max(1, min(len(texts), left // share))
    chosen = [texts[i] for i in rng.permutation(len(texts))[:most]]
    vectors = store.embed(chosen)
    centre = vectors.mean(axis=0) * (len(chosen) > 1)
    return Corpus(chosen, centred(vectors, centre), centre)


def centred(vectors: Vectors, centre: Vectors) -> Vectors:
    """Vectors (n, width) from a point on, as unit rows; zero where they lie in it."""
    found = vectors - centre
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), TINY), np.float32)
