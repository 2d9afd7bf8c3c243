"""The interaction matrix as the report draws it. Nothing here is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.analysis.effects import Effect
from threatloop.analysis.matrix import FAMILIES, Interaction, Matrix, resolved_share, tally
from threatloop.analysis.side_effects import SideEffect
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.matrix_words import PARTS, legend, mark, sign
from threatloop.report.words import Words

FILLS: Final = {
    "gain": "full",
    "none": "full",
    "null": "pale",
    "open": "hatched",
    "suspect": "hatched",
    "missing": "empty",
}
"""How certain a cell is: shown, shown to be none, open, not assessed."""


@dataclass(frozen=True)
class Square:
    """One cell as drawn.

    Attributes:
        anchor: id of the row in the table below, which the square leads to.
        sign: ``plus``, ``minus`` or ``zero``: decides the colour.
        fill: how certain it is.
        text: all that the square shows, in words.
    """

    cell: Interaction
    anchor: str
    words: Words
    sign: str
    fill: str
    text: str


@dataclass(frozen=True)
class Grid:
    """One family on one target: rows A, columns B; None where A and B do not meet."""

    family: str
    target: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square | None, ...]], ...]
    counts: str

    @property
    def squares(self) -> tuple[Square, ...]:
        """Every cell, row by row."""
        return tuple(square for _, row in self.rows for square in row if square is not None)

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The comparisons beside that with A's absence which any cell has, with their headings."""
        cells = [square.cell for square in self.squares]
        return tuple(item for item in PARTS.items() if any(cell.part(item[0]) is not None for cell in cells))


@dataclass(frozen=True)
class MatrixView:
    """All grids, the side effects, and how seeds were spent."""

    grids: tuple[Grid, ...]
    side_effects: tuple[SideEffect, ...]
    legend: str
    seeds: str


def matrix_view(record: RunRecord, matrix: Matrix) -> MatrixView:
    """Arrange the matrix; without grids where the run compares nothing."""
    grids: list[Grid] = []
    for target in record.targets:
        for family in FAMILIES:
            if cells := matrix.of(target, family):
                grids.append(_grid(family, target, cells, len(grids)))
    return MatrixView(tuple(grids), matrix.side_effects, legend(matrix.two_stage), _seeds(record))


def _grid(family: str, target: str, cells: Sequence[Interaction], number: int) -> Grid:
    columns = tuple(dict.fromkeys(cell.column for cell in cells))
    squares = {(one.row, one.column): _square(one, f"cell-{number}-{i}") for i, one in enumerate(cells)}
    rows = tuple(
        (row, tuple(squares.get((row, column)) for column in columns))
        for row in dict.fromkeys(one.row for one in cells)
    )
    return Grid(family, target, columns, rows, _counts(cells))


def _square(cell: Interaction, anchor: str) -> Square:
    words = mark(cell)
    shown = f"{cell.row} on {cell.column}: {words.phrase}"
    text = shown if isinstance(cell.effect, Undefined) else f"{shown}, {numbers.difference(cell.effect, cell.unit)}"
    return Square(cell, anchor, words, sign(cell), FILLS[words.style], f"{text}; {cell.why}")


def _counts(cells: Sequence[Interaction]) -> str:
    words = tally(cells)
    built = words.pop("by construction")
    told = ", ".join(f"{n} {word}" for word, n in words.items() if n)
    share = resolved_share(cells)
    resolved = "" if isinstance(share, Undefined) else f" Resolved: {100 * share:.0f} % of those assessed."
    note = f" {numbers.count(built, 'cell')} of them cannot differ by construction." if built else ""
    return f"{numbers.count(len(cells), 'cell')}: {told}.{resolved}{note}"


def _seeds(record: RunRecord) -> str:
    study = record.study
    if study is None:
        return "All seeds make one stage, and each cell is tested on them once."
    confirmed = [one.seeds for one in study.planned if one.seeds]
    text = (
        f"{study.screening_seeds} screening seeds chose the arm, the cells and their numbers of fresh seeds; "
        f"{len(confirmed)} of {numbers.count(len(study.planned), 'cell')} were tested, each once, on fresh seeds alone"
    )
    return f"{text} ({min(confirmed)} to {max(confirmed)} of them)." if confirmed else f"{text}."


def probability_of(effect: Effect | Undefined, name: str) -> float | Undefined:
    """A p- or q-value of an effect that may not be there."""
    found: float | Undefined = effect if isinstance(effect, Undefined) else getattr(effect, name)
    return found
