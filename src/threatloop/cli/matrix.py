"""The interaction matrix for a terminal of 100 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threatloop.analysis.matrix import FAMILIES, Interaction, Matrix, resolved_share, tally
from threatloop.analysis.side_effects import SideEffect
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.matrix_words import PARTS, legend, mark, part_mark

if TYPE_CHECKING:
    from rich.console import Console

ROW: Final = 24
CELL: Final = 7
"""Characters of a column: a mark and a signed difference."""
PER_TABLE: Final = 9
_STYLES: Final = {"gain": "red", "none": "green", "null": "", "open": "dim", "suspect": "magenta", "missing": "dim"}


def print_matrix(out: Console, record: RunRecord, matrix: Matrix) -> None:
    """One table per target and family, wide ones in parts; nothing where the run has no such cell."""
    for target in record.targets:
        for family in FAMILIES:
            cells = matrix.of(target, family)
            _print_grid(out, f"{family} on {target}", cells)
            if cells:
                out.print(escape(sentence(cells)))
            for reference, heading in PARTS.items():
                having = [cell for cell in cells if cell.part(reference) is not None]
                _print_grid(out, f"{heading} on {target}", having, reference)
                for why, n in Counter(filter(None, (_missing(cell, reference) for cell in having))).items():
                    out.print(escape(f"{numbers.count(n, 'cell')} not computed, because {why}"), style="dim")
    if matrix.cells:
        out.print(escape(legend(matrix.two_stage)), style="dim")
    if matrix.side_effects:
        out.print(costs_table(matrix.side_effects))


def costs_table(found: Sequence[SideEffect]) -> Table:
    """What the defences cost the victims: accuracy, training and delay."""
    table = Table(
        title="what the defences cost the victims", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("target", overflow="fold")
    table.add_column("defences", overflow="fold", ratio=1)
    for name in ("accuracy", "without", "training", "answers", ""):
        table.add_column(name, justify="right" if name else "left")
    for one in found:
        training = one.seconds_on / one.seconds_off if one.seconds_on is not None and one.seconds_off else None
        accuracy = ("–" if isinstance(x.mean, Undefined) else numbers.number(x.mean, 3) for x in (one.on, one.off))
        times = ("–" if x is None else f"{x:.1f}×" for x in (training, one.slower))
        table.add_row(escape(one.target), escape(one.condition), *accuracy, *times, "" if one.usable else "not usable")
    return table


def _print_grid(out: Console, title: str, cells: Sequence[Interaction], reference: str = "") -> None:
    """Cells in tables of a few columns each; what they show is compared with a reference, A's absence where none."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    for start in range(0, len(columns), PER_TABLE):
        shown = columns[start : start + PER_TABLE]
        out.print(_table(title, cells, shown, start, reference))
        names = "  ".join(f"{i}: {name}" for i, name in enumerate(shown, start + 1))
        out.print(escape(names), style="dim")


def _missing(cell: Interaction, reference: str) -> str:
    part = cell.part(reference)
    return part.reason if isinstance(part, Undefined) else ""


def sentence(cells: Sequence[Interaction]) -> str:
    """How many cells came to what."""
    words = tally(cells)
    built = words.pop("by construction")
    told = ", ".join(f"{n} {word}" for word, n in words.items() if n)
    share = resolved_share(cells)
    resolved = "" if isinstance(share, Undefined) else f"; resolved {100 * share:.0f} % of those assessed"
    return f"{numbers.count(len(cells), 'cell')}: {told}{resolved}" + (f" ({built} by construction)" if built else "")


def _table(title: str, cells: Sequence[Interaction], columns: Sequence[str], start: int, reference: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("A ↓  B →", width=ROW, overflow="fold")
    for i in range(len(columns)):
        table.add_column(str(start + i + 1), width=CELL, justify="right")
    by_place = {(cell.row, cell.column): cell for cell in cells}
    for row in dict.fromkeys(cell.row for cell in cells):
        found = [by_place.get((row, column)) for column in columns]
        if any(found):
            table.add_row(escape(row), *(_cell(cell, reference) for cell in found))
    return table


def _cell(cell: Interaction | None, reference: str) -> str:
    if cell is None:
        return ""
    words, effect = (part_mark(cell, reference), cell.part(reference)) if reference else (mark(cell), cell.effect)
    if effect is None or isinstance(effect, Undefined) or isinstance(effect.mean, Undefined):
        text = words.mark
    else:
        text = f"{words.mark} {_short(effect.mean)}"
    style = _STYLES[words.style]
    return f"[{style}]{text}[/]" if style else text


def _short(value: float) -> str:
    """``+.04``: what fits into a column."""
    if abs(value) >= 10:
        return f"{value:+.0f}"
    text = numbers.number(value, 2, signed=True)
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
