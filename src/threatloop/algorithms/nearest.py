"""Nearest records: who votes for a label, and what is all but the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from threatloop.algorithms.record_features import distances

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
CELLS = 1 << 24
"""Distances at once."""


def plurality(features: Floats, labels: Rows, rows: Rows, voters: Rows, k: int) -> Rows:
    """The label that weighs most among the ``k`` nearest voters of each row, itself excepted, int64 (len(rows),).

    Votes weigh inversely to how many voters carry the label; of equals the lower label wins.
    """
    ballots = labels[voters]
    classes = int(labels.max()) + 1
    weight = 1.0 / np.maximum(np.bincount(ballots, minlength=classes), 1)
    found = np.empty(len(rows), np.int64)
    for part, apart in _apart(features, rows, voters):
        apart[rows[part][:, None] == voters[None]] = np.inf
        few = min(k, len(voters) - 1) or 1
        near = np.argpartition(apart, few - 1, axis=1)[:, :few]
        votes = np.zeros((len(near), classes))
        np.add.at(votes, (np.arange(len(near))[:, None], ballots[near]), weight[ballots[near]])
        found[part] = votes.argmax(axis=1)
    return found


def nearest_distances(features: Floats, rows: Rows) -> Floats:
    """How far each of these rows is from the nearest other record, float32 (len(rows),)."""
    everyone = np.arange(len(features))
    found = np.full(len(rows), np.inf, np.float32)
    for part, apart in _apart(features, rows, everyone):
        apart[rows[part][:, None] == everyone[None]] = np.inf
        found[part] = apart.min(axis=1)
    return found


def groups(features: Floats, rows: Rows, reach: float) -> Rows:
    """A group number for every record, int64 (n,): these rows share one with all that are within ``reach`` of them."""
    seen: dict[bytes, int] = {}
    # Exact repetitions first: a table may hold thousands, and pairs of them would be millions.
    same = np.array([seen.setdefault(row.tobytes(), i) for i, row in enumerate(features)], np.int64)
    different, place = np.unique(same, return_inverse=True)
    exact = features[different].astype(np.float64)
    asked, ones, others = np.unique(place[rows]), [], []
    for part, apart in _apart(exact, asked, np.arange(len(exact))):
        near = np.nonzero(apart <= reach + ROUNDING * np.abs(exact).max())
        ones.append(asked[part][near[0]])
        others.append(near[1])
    a, b = np.concatenate(ones), np.concatenate(others)
    close = np.linalg.norm(exact[a] - exact[b], axis=1) <= reach
    links = coo_matrix((np.ones(close.sum()), (a[close], b[close])), shape=(len(exact), len(exact)))
    return np.asarray(connected_components(links, directed=False)[1][place], np.int64)


ROUNDING = 1e-5
"""Error of a distance from squares in double precision, in units of the largest entry; what comes so close is measured
again."""


def _apart(features: npt.NDArray[Any], rows: Rows, others: Rows) -> Iterator[tuple[slice, Floats]]:
    """Distances of the rows to the others, some rows at a time."""
    step = max(1, CELLS // max(1, len(others)))
    columns = features[others]
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        yield part, distances(features[rows[part]], columns)
