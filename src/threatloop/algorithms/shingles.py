"""Texts that share most of their runs of characters."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

LENGTH = 5
"""Characters of a run."""
BUCKETS = 1 << 22
ROWS_AT_ONCE = 1024


def groups(texts: Sequence[str], alike: float) -> npt.NDArray[np.int64]:
    """The group of each text, int64 (n,): runs that overlap in at least ``alike`` of their union join two of them.

    Broder 1997, "On the resemblance and containment of documents"; counted out here, without his sketches, since runs
    lie in a sparse table.
    """
    table = _table(texts)
    sizes = np.asarray(table.sum(axis=1)).ravel()
    pairs: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        shared = (table[start : start + ROWS_AT_ONCE] @ table.T).tocoo()
        rows, columns = shared.row + start, shared.col
        close = shared.data >= alike * (sizes[rows] + sizes[columns] - shared.data) - 1e-9
        pairs.append((rows[close], columns[close]))
    row, column = (np.concatenate([pair[side] for pair in pairs]) if pairs else np.zeros(0, int) for side in (0, 1))
    near = csr_matrix((np.ones(len(row)), (row, column)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(near, directed=False)[1], np.int64)


def _table(texts: Sequence[str]) -> csr_matrix:
    runs = [{_bucket(text[i : i + LENGTH]) for i in range(max(1, len(text) - LENGTH + 1))} for text in texts]
    columns = np.array([one for some in runs for one in sorted(some)], np.int64)
    ends = np.cumsum([0, *map(len, runs)])
    return csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(texts), BUCKETS))


def _bucket(run: str) -> int:
    return int.from_bytes(blake2b(run.lower().encode(), digest_size=4).digest(), "little") % BUCKETS
