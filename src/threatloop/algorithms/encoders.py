"""Encoders of documents: a language model's mean last state, or a sentence encoder that is installed beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from threatloop.algorithms.similarity import embeddings
from threatloop.algorithms.text_features import language_behind, mean_states
from threatloop.core.assets import Model
from threatloop.core.errors import NotAssessable
from threatloop.core.retrieval import Encoder, Vectors
from threatloop.models.language.loading import LANGUAGES
from threatloop.models.responder import local_service

Kind = Literal["own", "minilm"]
TINY = 1e-12


def encoder_of(kind: Kind, model: Model, device: str) -> Encoder:
    """What makes unit vectors of texts; those without any text are zero.

    Raises:
        NotAssessable: the model is no language model on this machine, or the encoder is not installed.
    """
    if kind == "minilm":
        return lambda texts: np.asarray(embeddings(texts, device), np.float32)
    if model.architecture.name not in LANGUAGES:
        raise NotAssessable("the states of this model cannot be read here; take retrieval: {encoder: minilm}")
    language = language_behind(local_service(model, device=device))

    def encode(texts: Sequence[str]) -> Vectors:
        # A model has no state behind no token.
        found = mean_states(language, [text or " " for text in texts])
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), TINY), np.float32)

    return encode
