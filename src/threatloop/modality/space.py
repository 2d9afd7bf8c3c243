"""Where records may be moved, and how far they were: the perturbation space of an adversarial example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from threatloop.core.catalogue import nearest

Norm = Literal["linf", "l2"]
Distances = npt.NDArray[np.float64]
SLACK = 1e-5
"""Share of a radius, and of ε itself, that counts as rounding of float32."""
BOUNDLESS = 10.0
"""Radius per coordinate, in units of ε, that counts as the whole range of a column without bounds."""


@dataclass(frozen=True)
class Space:
    """What may be changed in an encoded record, and what a change costs. Arrays broadcast against one encoded record.

    Attributes:
        shape: of one encoded record.
        low, high: bounds in input units; infinite where there are none.
        unit: how far a coordinate moves, in input units, for one unit of ε: 1 for pixels, a column's range for tables.
        mutable: coordinates that may change. A one-hot block is mutable as a whole.
        whole: coordinates that take whole numbers only.
        groups: first and last-plus-one coordinate of every mutable one-hot block.
        category_cost: units of ε that one changed category takes.
        usual: ε where the user names none, per norm.
        unit_name: one unit of ε, in words.
    """

    shape: tuple[int, ...]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]
    mutable: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]
    usual: dict[str, float]
    unit_name: str
    groups: tuple[tuple[int, int], ...] = ()
    category_cost: float = 1.0

    @property
    def numeric(self) -> npt.NDArray[np.bool_]:
        """Mutable coordinates that are numbers; of the shape of one record."""
        numbers = np.broadcast_to(self.mutable, self.shape).copy()
        for start, stop in self.groups:
            numbers[start:stop] = False
        return numbers

    @property
    def bounds(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """`low` and `high` of every entry of one record as a vector, (d,)."""
        low, high = (np.broadcast_to(side, self.shape).ravel().astype(np.float32) for side in (self.low, self.high))
        return low, high

    @property
    def scale(self) -> npt.NDArray[np.float32]:
        """`unit` where a number may move and 0 elsewhere; of the shape of one record."""
        return np.where(self.numeric, np.broadcast_to(self.unit, self.shape), 0).astype(np.float32)

    def reach(self, norm: Norm) -> float:
        """The ε within which every valid record lies, whatever the record: larger radii mean nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            widths = np.broadcast_to((self.high - self.low) / self.unit, self.shape)[self.numeric]
        parts = np.where(np.isfinite(widths), widths, BOUNDLESS).astype(np.float64)
        costs = np.full(len(self.groups), self.category_cost)
        every = np.concatenate([parts, costs])
        if not len(every):
            return 0.0
        return float(every.max()) if norm == "linf" else float(np.sqrt((every**2).sum()))

    def distance(self, moved: npt.NDArray[Any], origin: npt.NDArray[Any], norm: Norm) -> Distances:
        """How far each encoded record was moved, in units of ε, up to the rounding of float32; float64 (n,).

        Numbers count as |change| / unit, every changed category as `category_cost`; l2 is the root of their squared
        sum. Coordinates that may not change are not counted: see `valid`.
        """
        n, numeric = len(origin), self.numeric
        apart = np.abs(moved.astype(np.float64) - origin)
        apart = np.maximum(apart - 2 * np.spacing(np.maximum(np.abs(moved), np.abs(origin)).astype(np.float32)), 0)
        units = np.where(numeric, np.broadcast_to(self.unit, self.shape), 1.0)
        numbers = np.where(numeric, apart / units, 0.0).reshape(n, -1)
        switched = self._switched(moved, origin) * self.category_cost
        both = np.concatenate([numbers, switched], axis=1)
        return np.asarray(both.max(axis=1, initial=0.0) if norm == "linf" else np.sqrt((both**2).sum(axis=1)))

    def valid(self, moved: npt.NDArray[Any], origin: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Whether each encoded record could be a real one reached from its origin; (n,).

        False where a number is not finite, out of bounds or off its grid, where something immutable differs, and where
        a changed one-hot block is no single category.
        """
        n = len(origin)
        same = moved == origin
        inside = np.isfinite(moved) & (moved >= self.low) & (moved <= self.high)
        on_grid = ~self.whole | (np.rint(moved) == moved)
        free = np.broadcast_to(self.mutable, self.shape)
        fine = (same | (free & inside & on_grid)).reshape(n, -1).all(axis=1)
        for start, stop in self.groups:
            block = moved[:, start:stop]
            single = (np.isin(block, (0.0, 1.0)).all(axis=1)) & (block.sum(axis=1) == 1)
            fine &= single | same[:, start:stop].all(axis=1)
        return np.asarray(fine)

    def within(
        self, moved: npt.NDArray[Any], origin: npt.NDArray[Any], norm: Norm, radius: float
    ) -> npt.NDArray[np.bool_]:
        """Whether each record is valid and lies in the ball around its origin; (n,)."""
        near = self.distance(moved, origin, norm) <= radius * (1 + SLACK)
        return np.asarray(near & self.valid(moved, origin))

    def _switched(self, moved: npt.NDArray[Any], origin: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """1 where a record's category changed; (n, groups)."""
        columns = [(moved[:, a:b] != origin[:, a:b]).any(axis=1) for a, b in self.groups]
        return np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(origin), 0))


def pixels(shape: tuple[int, ...]) -> Space:
    """The space of images in [0, 1], every pixel free.

    ε is in input units before preprocessing: 8/255 for linf (Madry et al. 2018, arXiv 1706.06083), 0.5 for l2 (Croce
    et al. 2021, RobustBench, arXiv 2010.09670).
    """
    zero, one = np.zeros((), np.float32), np.ones((), np.float32)
    usual = {"linf": 8 / 255, "l2": 0.5}
    return Space(shape, zero, one, one, np.ones((), bool), np.zeros((), bool), usual, "the whole range of a pixel")


def unknown_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """One line for every name that no column has, with the nearest column."""
    return [
        f"immutable: there is no column {name!r}{nearest(name, known)}; columns: {_some(known)}"
        for name in names
        if name not in known
    ]


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def radius_problems(space: Space, norm: Norm, radius: float | None) -> list[str]:
    """Why no record can be moved by so much, one line each; ``radius`` None is the usual one."""
    reach, wanted = space.reach(norm), space.usual[norm] if radius is None else radius
    if reach == 0:
        return ["immutable: no column may change; leave at least one out that has more than one value"]
    if wanted > reach * (1 + SLACK):
        hint = f" (one unit is {space.unit_name}; 8/255 is {8 / 255:.3g})" if space.unit_name.endswith("pixel") else ""
        return [f"epsilon: {wanted:g} is more than the whole {norm} range {reach:.4g} of the records{hint}"]
    if not space.numeric.any() and wanted < space.category_cost:
        return [
            f"epsilon: {wanted:g} moves nothing: every column that may change is categorical, and a change costs "
            f"{space.category_cost:g}; raise epsilon or lower category_cost"
        ]
    return []
