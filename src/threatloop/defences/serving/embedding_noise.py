"""Noise on stored embeddings."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.retrieval import StoreDefence, Vectors
from threatloop.core.seeds import Streams


class EmbeddingNoise(StoreDefence):
    """Adds Gaussian noise to every stored vector, drawn once, and brings it back to unit length.

    A vector with noise of norm s has a cosine of about 1 / √(1 + s²) with what it was. Retrieval gets worse as well.

    Morris, Kuleshov, Shmatikov, Rush 2023, "Text Embeddings Reveal (Almost) As Much As Text", arXiv 2310.06816, section
    7.

    Attributes:
        scale: expected norm of the noise, relative to the vector's, > 0.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Noise on embeddings",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Morris, Kuleshov, Shmatikov, Rush 2023, Text Embeddings Reveal (Almost) As Much As Text, arXiv "
        "2310.06816, section 7",
    )

    scale: float = Field(default=0.5, gt=0, le=100)

    def stored(self, vectors: Vectors, streams: Streams) -> Vectors:
        drawn = streams.numpy("noise").standard_normal(vectors.shape) * (self.scale / vectors.shape[1] ** 0.5)
        found = vectors + drawn
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)
