"""Jigsaw puzzles whose pieces are moved, rotated, flipped, negated and recoloured, for one picture or many at once.

Greedy assembly by the most certain next piece, in the manner of Paikin, Tal 2015, "Solving multiple square jigsaw
puzzles with missing pieces" (CVPR), extended to negated and recoloured pieces as in Chuman, Kurihara, Kiya 2017, "On
the security of block scrambling-based EtC systems against extended jigsaw puzzle solver attacks". Where one key
scrambled many pictures alike, an edge is as long as all their edges together, and hardly any mistake is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Cell = tuple[int, int]

SIDES: tuple[Cell, ...] = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""Where a neighbour lies: right, left, below, above."""
MOST_COLOURS = 4
"""More channels than this are never reordered: their orders are too many."""


def orders(channels: int, shuffled: bool) -> npt.NDArray[np.int64]:
    """The orders in which channels may come: (k, channels), the natural one first."""
    if not shuffled or channels > MOST_COLOURS:
        return np.arange(channels)[None]
    return np.array(list(permutations(range(channels))))


def orientations(pieces: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """All eight rotations and reflections of square pieces (..., s, s): (8, ..., s, s)."""
    turned = [np.rot90(pieces, k, axes=(-2, -1)) for k in range(4)]
    return np.stack(turned + [one[..., ::-1] for one in turned])


@dataclass
class Puzzle:
    """Pieces in all the states that they may be in.

    Attributes:
        states: (pieces, 8, colours, 2, m, C, s, s) pieces of m pictures in every orientation, order of channels and
            sign.
        grid: rows and columns of the finished picture.
    """

    states: Floats
    grid: Cell
    _edges: dict[Cell, Floats] = field(init=False, repr=False)
    _norms: dict[Cell, Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pieces = len(self.states)
        self._per_piece = int(np.prod(self.states.shape[1:4]))
        flat = self.states.reshape(pieces * self._per_piece, *self.states.shape[4:])
        cuts = {(0, 1): flat[..., -1], (0, -1): flat[..., 0], (1, 0): flat[..., -1, :], (-1, 0): flat[..., 0, :]}
        self._edges = {side: np.ascontiguousarray(edge.reshape(len(flat), -1)) for side, edge in cuts.items()}
        self._norms = {side: np.einsum("ij,ij->i", edge, edge) for side, edge in self._edges.items()}

    def solve(self) -> tuple[dict[Cell, int], float]:
        """The state number at every cell, in one of the positions and attitudes that no edge tells apart; and its cost.

        The cost is the mean squared difference over all inner edges.
        """
        total = len(self._norms[0, 1])
        first = self._first()
        placed: dict[Cell, int] = {(0, 0): first}
        used = np.zeros(total // self._per_piece, bool)
        used[first // self._per_piece] = True
        open_cells: dict[Cell, tuple[Floats, int]] = {}
        self._reach((0, 0), placed, open_cells)
        while not used.all():
            cell, state = self._next(placed, open_cells, used)
            placed[cell] = state
            used[state // self._per_piece] = True
            open_cells.pop(cell)
            self._reach(cell, placed, open_cells)
        return placed, self._cost(placed)

    def _first(self) -> int:
        """A piece that says most about its neighbours: the one with the most contrast, in its natural state."""
        return int(self.states[:, 0, 0, 0].var(axis=(1, 2, 3, 4)).argmax()) * self._per_piece

    def _reach(self, cell: Cell, placed: dict[Cell, int], open_cells: dict[Cell, tuple[Floats, int]]) -> None:
        """Let a new piece say what it expects of the free cells beside it."""
        for side in SIDES:
            there = (cell[0] + side[0], cell[1] + side[1])
            if there in placed:
                continue
            facing, edge = (-side[0], -side[1]), self._edges[side][placed[cell]]
            cost = self._norms[facing] + float(edge @ edge) - 2 * (self._edges[facing] @ edge)
            before, count = open_cells.get(there, (np.zeros_like(cost), 0))
            open_cells[there] = (before + cost, count + 1)

    def _next(
        self, placed: dict[Cell, int], open_cells: dict[Cell, tuple[Floats, int]], used: npt.NDArray[np.bool_]
    ) -> tuple[Cell, int]:
        """The cell whose best piece leads its second best by most, among cells where the grid still holds all."""
        rows, columns = zip(*placed, strict=True)
        low, high = (min(rows), min(columns)), (max(rows), max(columns))
        fits = [
            cell
            for cell in open_cells
            if all(max(high[i], cell[i]) - min(low[i], cell[i]) < self.grid[i] for i in (0, 1))
        ]
        free = np.flatnonzero(~used)
        cost = np.stack([open_cells[cell][0] / open_cells[cell][1] for cell in fits])
        by_piece = cost.reshape(len(fits), len(used), self._per_piece)[:, free]
        best_state = by_piece.argmin(axis=2)
        best = np.take_along_axis(by_piece, best_state[:, :, None], axis=2)[:, :, 0]
        winner = best.argmin(axis=1)
        leading = best[np.arange(len(fits)), winner]
        second = np.partition(best, 1, axis=1)[:, 1] if best.shape[1] > 1 else np.full(len(fits), np.inf)
        support = np.array([open_cells[cell][1] for cell in fits])
        doubt = (leading + 1e-3) / (second + 1e-3) - 0.1 * support
        at = int(doubt.argmin())
        return fits[at], int(free[winner[at]] * self._per_piece + best_state[at, winner[at]])

    def _cost(self, placed: dict[Cell, int]) -> float:
        found = []
        for (row, column), state in placed.items():
            for side in ((0, 1), (1, 0)):
                other = placed.get((row + side[0], column + side[1]))
                if other is not None:
                    apart = self._edges[side][state] - self._edges[-side[0], -side[1]][other]
                    found.append(float((apart**2).mean()))
        return float(np.mean(found)) if found else 0.0


def puzzle(pieces: Floats, grid: Cell, colours: npt.NDArray[np.int64]) -> Puzzle:
    """From pieces (n, m, C, s, s) of m pictures, centred on mid-grey."""
    turned = orientations(pieces)  # (8, n, m, C, s, s)
    recoloured = np.stack([turned[:, :, :, order] for order in colours])  # (k, 8, n, m, C, s, s)
    signed = np.stack([recoloured, -recoloured])  # (2, k, 8, n, ...)
    return Puzzle(np.ascontiguousarray(np.moveaxis(signed, (3, 2, 1, 0), (0, 1, 2, 3)).astype(np.float32)), grid)
