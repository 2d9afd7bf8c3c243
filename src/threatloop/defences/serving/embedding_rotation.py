"""Embeddings that are stored under a secret rotation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.retrieval import StoreDefence, Vectors
from threatloop.core.seeds import Streams


class EmbeddingRotation(StoreDefence):
    """Stores every vector turned by one secret orthogonal matrix, as a key; questions are turned alike.

    Angles, and so retrieval, stay exactly as they are. It is no encryption: whoever knows about as many documents of
    the store as vectors have numbers solves for the matrix, and distances between documents are plain to see.

    Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 31, is how it breaks.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Rotated embeddings",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Schönemann 1966, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31",
    )

    def stored(self, vectors: Vectors, streams: Streams) -> Vectors:
        width = vectors.shape[1]
        q, r = np.linalg.qr(streams.numpy("rotation").standard_normal((width, width)))
        return np.asarray(vectors @ (q * np.sign(np.diag(r))), np.float32)
