"""Turning what an inversion found into valid records."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset


def encoded_shape(like: Dataset) -> tuple[int, ...]:
    """Shape of one encoded record."""
    return tuple(modality.of(like.schema).encode(np.asarray(like.x[:1]), like.schema).shape[1:])


def start_points(auxiliary: Dataset, labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Encoded starting records, one per label.

    Raises:
        NotAssessable: records of this modality cannot be changed by small steps.
    """
    return modality.of(auxiliary.schema).start_points(auxiliary, labels, rng)


def recovered(encoded: npt.NDArray[Any], labels: npt.NDArray[np.int64], like: Dataset) -> Dataset:
    """Valid records of the schema of ``like`` from encoded ones (n, ...), with ids −1.

    Raises:
        NotAssessable: records of this modality cannot be averaged or changed by small steps.
    """
    start_points(like, labels[:1], np.random.default_rng(0))  # says why, where the modality has no continuous records
    x = modality.of(like.schema).decode(encoded.reshape(len(labels), *encoded_shape(like)), like.schema)
    return Dataset(x, labels, like.schema, np.full(len(labels), -1, np.int64))
