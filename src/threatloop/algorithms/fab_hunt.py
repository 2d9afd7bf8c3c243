"""FAB on a chunk of records: what it finds is handed in whatever ends it."""

from __future__ import annotations

from typing import Self

import torch

from threatloop.algorithms.black_box import Points
from threatloop.algorithms.fab import Fab
from threatloop.algorithms.hunt import Hunt


class FabHunt:
    """A context in which FAB runs on some records of a chunk; on leaving it, nearest points are offered to the trial.

    Args:
        hunt: the chunk.
        places: (m,) positions within it.
        radius: in which points become valid records, in units of ε.
        generator: draws the restarts.
    """

    def __init__(self, hunt: Hunt, places: torch.Tensor, radius: float, generator: torch.Generator) -> None:
        self._hunt, self._places = hunt, places
        self._points = points = Points(hunt.trial, hunt.rows[places.numpy()], radius)

        def forward(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return hunt.logits(points.straight_through(z, rows))

        self._fab = Fab(
            forward,
            points.x,
            points.y,
            points.low,
            points.high,
            hunt.trial.norm,
            generator,
            None if points.plain else points.distances,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        found = self._fab.best.distance.isfinite().nonzero()[:, 0]
        self._points.offer(self._fab.best.points[found], found)

    def run(self, steps: int, *, rank: int = 0, restart: bool = False) -> None:
        """One run on all records, and the final search."""
        self._fab.run(
            torch.arange(len(self._places)), steps, rank=rank, restart=restart, radius=self._hunt.trial.radius
        )
        self._fab.search()

    def examples(self) -> torch.Tensor:
        """The nearest adversarial examples, (m, *shape); the records where none was found."""
        return self._points.valid(self._fab.best.points, torch.arange(len(self._places)))
