"""A CSV table with named columns, of which every row knows its place; what is wrong is collected."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from threatloop.core.errors import InputError

MOST_BYTES = 256 << 20
"""Largest table that is read."""


@dataclass(frozen=True)
class Row:
    """A row; cells are stripped of spaces, and a column that the table lacks is empty."""

    place: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def read_table(path: Path, needed: Sequence[str], problems: list[str]) -> list[Row]:
    """The rows of a table; its problems are appended to ``problems``, and what is sound is returned.

    Raises:
        InputError: the file is not there, cannot be read or is too large.
    """
    text = _text(path, problems)
    if text is None:
        return []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if not any(header):
            problems.append(f"{path.name}: is empty; its first line names the columns {', '.join(needed)}")
            return []
        if missing:
            problems.append(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(header)}")
            return []
        for cells in reader:
            place = f"{path.name} line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problems.append(f"{place}: {len(cells)} cells under {len(header)} columns; quote cells with commas")
                continue
            rows.append(Row(place, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        problems.append(f"{path.name} line {reader.line_num}: no CSV ({error}); the rest of the file was not read")
    if not rows and not problems:
        problems.append(f"{path.name}: no row below the names of the columns")
    return rows


def _text(path: Path, problems: list[str]) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES >> 20} MiB; split it")
    bad = []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            bad.append(f"{path.name} line {number}: not UTF-8 at byte {error.start + 1}; save the file as UTF-8")
    problems += bad
    return None if bad else data.decode("utf-8-sig")
