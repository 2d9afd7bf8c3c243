"""Wrong labels that look right, and copies that do not look the same: what a poisoner knows from his own records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.nearest import nearest_distances
from threatloop.algorithms.record_features import channel_scale, distances, vectors
from threatloop.core.assets import Dataset
from threatloop.modality import of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
NEIGHBOURS = 5
"""Of each class, whose mean distance tells how near it is."""
CELLS = 1 << 24
"""Distances at once."""
MAJORITY = 0.8
"""Most of a class is renamed: then a model takes the rest for the mistakes, and no class vanishes."""


def nearness(records: Dataset, among: Dataset) -> Floats:
    """Mean distance of each record to its nearest of every class, (n, classes); infinite for a class without any.

    A record does not count as its own neighbour, nor does a copy of it.
    """
    scale, classes = channel_scale(among), among.n_classes
    known = vectors(among) / scale
    found = np.full((len(records), classes), np.inf)
    step = max(1, CELLS // max(1, len(among)))
    for start in range(0, len(records), step):
        part = slice(start, start + step)
        apart = distances(vectors(records.take(part)) / scale, known)
        apart[apart <= _rounding(known)] = np.inf
        for label in range(classes):
            of_class = np.sort(apart[:, among.y == label], axis=1)[:, :NEIGHBOURS]
            near = np.isfinite(of_class)
            total = np.where(near, of_class, 0).sum(axis=1)
            found[part, label] = np.where(near.any(axis=1), total / np.maximum(near.sum(axis=1), 1), np.inf)
    return found


def _rounding(known: npt.NDArray[np.float32]) -> float:
    return 1e-3 * float(np.sqrt((known**2).sum(axis=1).max(initial=0)))


def second_class(records: Dataset, among: Dataset) -> tuple[Rows, Floats]:
    """The nearest class beside each record's own, and how doubtful the own one is: its distance over the other's."""
    apart, rows = nearness(records, among), np.arange(len(records))
    own = apart[rows, records.y]
    apart[rows, records.y] = np.inf
    nearest = apart.argmin(axis=1)
    # A class that has one record only is as near to it as any.
    own = np.where(np.isfinite(own), own, apart[rows, nearest])
    return np.asarray(nearest, np.int64), own / np.maximum(apart[rows, nearest], 1e-12)


def border_flips(data: Dataset, count: int) -> Rows:
    """The labels with so many changed, those of the most doubtful records, each to the nearest other class."""
    to, doubt = second_class(data, data)
    rows = np.argsort(-doubt, kind="stable")[:count]
    y = np.array(data.y)
    y[rows] = to[rows]
    return y


def class_flips(data: Dataset, count: int) -> Rows:
    """The labels with so many changed, class by class: most of one is renamed as the class it is nearest to.

    Pairs of classes come in the order of how near they are; a class is renamed or another's new name, never both. Fewer
    are changed where that is all.
    """
    to, doubt = second_class(data, data)
    y, left, renamed, names = np.array(data.y), count, set[int](), set[int]()
    share = {
        (a, b): float((doubt * (mine & (to == b))).sum() / mine.sum())
        for a in np.unique(data.y).tolist()
        for mine in [data.y == a]
        for b in np.unique(to[mine]).tolist()
    }
    for a, b in sorted(share, key=lambda pair: (-share[pair], pair)):
        if left == 0 or a in renamed | names or b in renamed:
            continue
        mine = np.flatnonzero(data.y == a)
        rows = mine[np.argsort(-doubt[mine], kind="stable")][: min(left, int(MAJORITY * len(mine)))]
        y[rows] = b
        left -= len(rows)
        renamed.add(a)
        names.add(b)
    return y


def scattered(records: Dataset, reach: float, among: Dataset, rng: np.random.Generator) -> Dataset:
    """The records, each moved in a random direction.

    Args:
        records: to be moved; labels, order and ids stay.
        reach: how far, in units of the median distance between records ``among`` and their nearest neighbours.
        among: records that say what is usual, two or more to have any distance.
        rng: draws the directions.

    Raises:
        NotAssessable: records of this kind cannot be changed by small steps.
    """
    kind, scale = of(records.schema), channel_scale(among)
    known = vectors(among) / scale
    near = nearest_distances(known, np.arange(len(known)))
    near = near[np.isfinite(near) & (near > 0)]
    usual = float(np.median(near)) if len(near) else 0.0
    encoded = kind.encode(records.x, records.schema)
    steps = rng.standard_normal((len(records), len(scale)))
    steps *= reach * usual / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    delta = (steps * scale).astype(np.float32).reshape(encoded.shape)
    return records.with_x(kind.moved(records.x, delta, records.schema))
