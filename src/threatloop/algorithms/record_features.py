"""Records as plain vectors on a common scale, for distances, densities and classifiers that never see a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.core.assets import Dataset

Floats = npt.NDArray[np.float32]

SMALLEST_SPREAD = 0.1
"""Of the range: a rare category or a heavy tail must not outweigh everything else."""
BYTES = 256
CHUNK = 1 << 22
"""Array cells that are encoded at once."""
SCALE_CELLS = 1 << 25
"""Most array cells that a spread is estimated from."""


def parts(data: Dataset) -> Iterator[Dataset]:
    """The records in consecutive parts of about `CHUNK` cells each, so that large sets are never encoded whole."""
    step = max(1, CHUNK // max(1, int(np.prod(data.x.shape[1:]))))
    return (data.take(slice(i, i + step)) for i in range(0, len(data), step))


def vectors(data: Dataset) -> Floats:
    """Encoded records as rows, float32 (n, d); where a network reads codes (bytes of text), how often each occurs."""
    schema = data.schema
    kind = modality.of(schema)
    encoded = kind.encode(np.asarray(data.x), schema)
    flat = encoded.reshape(len(data), -1)
    if np.issubdtype(flat.dtype, np.integer):
        return _frequencies(flat, BYTES)
    return np.ascontiguousarray(flat, dtype=np.float32)


def channel_scale(data: Dataset) -> Floats:
    """The spread of each entry of `vectors`, one value per channel or column, float32 (d,), > 0.

    Images share one scale per channel, so that a pixel which hardly ever varies does not dominate a distance. Of very
    large sets every few records are read.
    """
    stride = -(-data.x.size // SCALE_CELLS) or 1
    rows = vectors(data.take(slice(None, None, stride)))
    shape = modality.of(data.schema).encode(np.asarray(data.x[:1]), data.schema).shape
    if rows.shape[1] != int(np.prod(shape[1:])):
        return np.full(rows.shape[1], max(float(rows.std()), 1e-12), np.float32)
    grouped = rows.reshape(len(rows), shape[1], -1)
    spread = grouped.std(axis=(0, 2))
    reach = grouped.max(axis=(0, 2)) - grouped.min(axis=(0, 2))
    scale = np.maximum(spread, SMALLEST_SPREAD * reach)
    scale[scale == 0] = 1.0
    return np.repeat(scale, grouped.shape[2]).astype(np.float32)


def distances(a: Floats, b: Floats) -> Floats:
    """Euclidean distances between rows: float32 (len(a), len(b))."""
    squares: npt.NDArray[Any] = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    found: Floats = np.sqrt(np.maximum(squares, 0)).astype(np.float32)
    return found


def _frequencies(codes: npt.NDArray[Any], n_codes: int) -> Floats:
    n_codes = max(n_codes, int(codes.max(initial=0)) + 1)
    flat = (codes + n_codes * np.arange(len(codes))[:, None]).ravel()
    counts = np.bincount(flat, minlength=n_codes * len(codes)).reshape(len(codes), n_codes)
    shares: Floats = (counts / codes.shape[1]).astype(np.float32)
    return shares
