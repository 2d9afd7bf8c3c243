"""What the second lap and its controls start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.engine.products import Product
from threatloop.engine.task import Task


def like(task: Task, inputs: Mapping[str, Product]) -> Product:
    """As many records of ``data`` as ``like`` has, drawn afresh (with replacement only where there are too few)."""
    data: Dataset = inputs["data"].value
    n = len(inputs["like"].value)
    rows = task.streams.numpy("like").choice(len(data), n, replace=n > len(data))
    return Product(data.take(rows))


def prior(task: Task, inputs: Mapping[str, Product]) -> Product:
    """Samples from what the attacker could guess without the victim: a Gaussian per class around his own records.

    As many records with the same labels as ``like`` has. The covariance is pooled over classes and shrunk by a tenth
    towards its diagonal, since a class has few records.
    """
    held: Dataset = inputs["held"].value
    wanted: Dataset = inputs["like"].value
    kind, rng = modality.of(held.schema), task.streams.numpy("prior")
    encoded = np.asarray(kind.encode(held.x, held.schema), np.float64)
    flat = encoded.reshape(len(held), -1)
    whole = flat.mean(axis=0)
    means = np.stack([flat[held.y == c].mean(axis=0) if (held.y == c).any() else whole for c in range(held.n_classes)])
    spread = flat - means[held.y]
    # Sampling by random mixtures of the centred records needs no covariance matrix, which would be large for images.
    weights = rng.standard_normal((len(wanted), len(held))) / np.sqrt(len(held))
    draws = np.sqrt(0.9) * (weights @ spread) + np.sqrt(0.1) * spread.std(axis=0) * rng.standard_normal(
        (len(wanted), flat.shape[1])
    )
    x = (means[wanted.y] + draws).reshape(len(wanted), *encoded.shape[1:]).astype(np.float32)
    return Product(Dataset(kind.project(x, held.schema), wanted.y, held.schema, np.full(len(wanted), -1, np.int64)))
