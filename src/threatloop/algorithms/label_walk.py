"""HopSkipJump on the records of a trial: a look at all of them, then walks for those that the victim gets right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from threatloop import modality
from threatloop.algorithms.black_box import Points, Rows, budgets, other_starts
from threatloop.algorithms.evasion import Trial
from threatloop.algorithms.hopskipjump import HopSkipJump, Setting
from threatloop.core.assets import Dataset

CHUNK = 256
MOST_OTHERS = 2000
"""Of the attacker's other records that can be starting points."""


class LabelWalk:
    """The victim is asked about every record once, here; those that it gets wrong are offered as they are.

    Args:
        trial: where the nearest examples are offered.
        rows: positions among its records, in the order in which a short budget serves them.
        generator: draws the noise.
        others: more records of the attacker's. Where the true label of one is another, it is taken for a point at which
            the victim errs about the record that is walked towards; a query tells.

    Raises:
        BudgetExhausted: not every record can be asked about.
    """

    def __init__(self, trial: Trial, rows: Rows, generator: torch.Generator, others: Dataset) -> None:
        self._trial, self._generator, self._reach = trial, generator, trial.space.reach(trial.norm)
        labels = trial.victim.labels(np.asarray(trial.source.x[rows]))
        wrong = labels != trial.y[rows]
        if wrong.any():
            trial.offer(rows[wrong], trial.origin[rows[wrong]])
        self._right = rows[~wrong]
        points, others = Points(trial, rows, self._reach), others.take(slice(0, MOST_OTHERS))
        encoded = modality.of(others.schema).encode(np.asarray(others.x), others.schema)
        self._known = torch.cat([points.x, points.flat(torch.from_numpy(np.require(encoded, requirements=["C", "W"])))])
        self._labels = torch.from_numpy(np.concatenate([labels, others.y]))

    def run(self, queries: int, evaluations: int) -> Iterator[float]:
        """Walk in chunks, with at most so many queries a record; yields the share that is done."""
        for first in range(0, len(self._right), CHUNK):
            points = Points(self._trial, self._right[first : first + CHUNK], self._reach)
            starts = other_starts(points.x, points.y, self._known, self._labels, self._trial.norm)
            walk = HopSkipJump(
                points.errs,
                points.x,
                points.low,
                points.high,
                budgets(self._trial.victim.ledger.left, len(points.x), queries),
                Setting(self._trial.norm, evaluations),
                self._generator,
                None if points.plain else points.distances,
            )
            walk.run(starts)
            found = walk.distance.isfinite().nonzero()[:, 0]
            points.offer(walk.best[found], found)
            yield min(1.0, (first + CHUNK) / len(self._right))
