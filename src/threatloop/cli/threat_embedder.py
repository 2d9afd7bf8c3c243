"""The sentence encoder for the threat graph, which may not know of models; vectors are kept in the user's cache."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from threatloop.core.digests import digest_json

if TYPE_CHECKING:
    from threatloop.threats.evidence.signals import Embedder

Vectors = npt.NDArray[np.float32]
KEPT_FROM = 100
"""Texts at once from which their vectors are kept: those of a whole release, not those of a document."""
WIDTH = 384


def sentence_embedder() -> tuple[Embedder | None, str]:
    """The encoder, or None and why there is none, in one line."""
    from threatloop.algorithms.similarity import embeddings
    from threatloop.core.errors import NotAssessable

    try:
        embeddings(["ready"])
    except NotAssessable as error:
        return None, f"without sentence vectors, words alone decide: {error}"

    def embed(texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, WIDTH), np.float32)
        if len(texts) < KEPT_FROM:
            return embeddings(texts).astype(np.float32)
        place = _folder() / f"{digest_json(['minilm', *texts])}.npy"
        if (kept := _kept(place, len(texts))) is not None:
            return kept
        found = embeddings(texts).astype(np.float32)
        _keep(place, found)
        return found

    return embed, ""


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "threatloop" / "vectors"


def _kept(place: Path, count: int) -> Vectors | None:
    with suppress(OSError, ValueError, EOFError):
        found = np.load(place, allow_pickle=False)
        if found.shape == (count, WIDTH) and found.dtype == np.float32 and np.isfinite(found).all():
            return np.asarray(found)
    return None


def _keep(place: Path, vectors: Vectors) -> None:
    """A cache that cannot be written costs time, nothing else."""
    draft = place.with_name(f".{uuid.uuid4().hex}.npy")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(draft, vectors, allow_pickle=False)
        draft.replace(place)
