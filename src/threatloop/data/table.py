"""CSV and Parquet tables with a declared target column."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet
from pydantic import Field

from threatloop.core.errors import InputError
from threatloop.core.schema import TabularSchema
from threatloop.data.columns import Kind, decode_table
from threatloop.data.source import Raw, Source, found, refuse

MISSING_WORDS = ("", "?", " ?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
MAX_CLASSES = 1000
ARROW_TYPES = {"numeric": pa.float64(), "integer": pa.int64(), "categorical": pa.string()}
MAX_BLOCK = 1 << 30


class TableSource(Source):
    """A table with one target column.

    Attributes:
        target: name of the column with the labels.
        columns: types by column name (numeric, integer, categorical, drop); the others are inferred and reported.
        missing: what to do about missing cells: ``error``, ``drop`` their rows, or make them a ``category``
            (categorical columns only).
    """

    target: str
    columns: dict[str, Kind] = {}
    missing: Literal["error", "drop", "category"] = "error"

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        path = found(base, getattr(self, self.key))
        table = _readable(self.title, lambda: self._table(path))
        _check_names(self.title, table.column_names, self.target, self.columns)
        table = table.drop_columns([name for name, kind in self.columns.items() if kind == "drop"])
        table, dropped = self._without_missing(table)
        features = table.drop_columns([self.target])
        if not table.num_rows or not features.num_columns:
            raise InputError(f"{self.title}: no {'columns beside the target' if table.num_rows else 'rows'} are left")
        decoded = decode_table(features, self.columns)
        refuse(self.title, decoded.problems)
        classes, y = _labels(self.title, self.target, table.column(self.target))
        schema = TabularSchema(classes=classes, columns=decoded.columns)
        return Raw(np.stack(decoded.cells, axis=1), y, schema, None, decoded.notes + dropped)

    def _table(self, path: Path) -> pa.Table:
        raise NotImplementedError

    def _without_missing(self, table: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
        """The table without the missing cells that cannot stay, and a note about dropped rows."""
        counts = {name: table.column(name).null_count for name in table.column_names}
        empty = [name for name, count in counts.items() if count == table.num_rows > 0]
        if empty:
            raise InputError(f"{self.title}: nothing but missing cells in {_named(empty)}; declare 'drop' for it")
        holes = {name: count for name, count in counts.items() if count}
        if not holes:
            return table, ()
        if self.missing == "drop":
            kept = table.drop_null()
            return kept, (f"{table.num_rows - kept.num_rows} of {table.num_rows} rows with missing cells dropped",)
        stuck = holes if self.missing == "error" else {n: c for n, c in holes.items() if self._must_be_whole(table, n)}
        if stuck:
            listed = ", ".join(f"{name!r} ({count})" for name, count in stuck.items())
            fix = "missing: drop, or category" if self.missing == "error" else "missing: drop"
            what = "cells" if self.missing == "error" else "cells, which cannot be a category,"
            raise InputError(f"{self.title}: missing {what} in {listed}; set {fix}, or drop those columns")
        return table, ()

    def _must_be_whole(self, table: pa.Table, name: str) -> bool:
        number = table.schema.field(name).type
        numeric = pa.types.is_integer(number) or pa.types.is_floating(number) or pa.types.is_decimal(number)
        return name == self.target or (numeric and self.columns.get(name) != "categorical")


class Csv(TableSource):
    """A CSV file in UTF-8 with a header row.

    Attributes:
        csv: path of the file.
        separator: between cells.
    """

    key: ClassVar[str] = "csv"

    csv: str
    separator: str = Field(default=",", min_length=1, max_length=1)

    def _table(self, path: Path) -> pa.Table:
        # One block as large as the file, so that types are inferred from all rows and not from the first megabyte.
        block = min(max(path.stat().st_size + 1, 1 << 20), MAX_BLOCK)
        types = {name: ARROW_TYPES[kind] for name, kind in self.columns.items() if kind in ARROW_TYPES}
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(block_size=block, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=self.separator),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=list(MISSING_WORDS), strings_can_be_null=True
            ),
        )


class Parquet(TableSource):
    """A Parquet file.

    Attributes:
        parquet: path of the file.
    """

    key: ClassVar[str] = "parquet"

    parquet: str

    def _table(self, path: Path) -> pa.Table:
        with parquet.ParquetFile(path) as file:
            return file.read()


def _readable(title: str, read: Callable[[], pa.Table]) -> pa.Table:
    try:
        return read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{title}: cannot be read as such a table: {reason[:200]}") from None


def _check_names(title: str, names: list[str], target: str, declared: dict[str, Kind]) -> None:
    problems = [
        f"{role} {name!r} is not a column; {_nearest(name, names)}"
        for role, name in [("target", target), *(("declared column", name) for name in declared)]
        if name not in names
    ]
    if target in declared:
        problems.append(f"target {target!r} is declared under columns; leave it out there")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"column names appear twice: {_named(twice)}")
    refuse(title, problems)


def _nearest(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(names[:30])}"


def _named(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _labels(title: str, target: str, values: Any) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Class names (numbers in numeric order, else sorted) and int64 labels."""
    plain = values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
    if pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type):
        plain = pc.utf8_trim_whitespace(plain)
    distinct = pc.unique(plain).drop_null().sort()
    fraction = pa.types.is_floating(plain.type) and any(v != v or v % 1 for v in distinct.to_pylist())
    if fraction or len(distinct) > MAX_CLASSES:
        raise InputError(
            f"{title}: target {target!r} has {len(distinct)} different values and is not a class; "
            f"at most {MAX_CLASSES} classes are possible, and no fractions (regression is not supported)"
        )
    names = [f"{v:g}" if isinstance(v, float) else str(v) for v in distinct.to_pylist()]
    return tuple(names), pc.index_in(plain, value_set=distinct).to_numpy().astype(np.int64)
