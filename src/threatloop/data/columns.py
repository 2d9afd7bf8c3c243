"""From Arrow columns to table cells: types declared or inferred, every problem listed at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from threatloop.core.schema import Column

Kind = Literal["numeric", "integer", "categorical", "drop"]
Cells = npt.NDArray[np.float32]
MISSING = "(missing)"
FEW, MANY = 20, 256
"""A text column with at most FEW different values is categorical; above MANY, or half of the rows, free text."""
MAX_DECLARED = 10_000
EXACT = 2**24
"""Whole numbers above this are not exact in float32."""


@dataclass(frozen=True)
class Table:
    """Decoded columns, what was inferred about them, and what is wrong with them."""

    columns: tuple[Column, ...]
    cells: tuple[Cells, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def decode_table(table: pa.Table, declared: Mapping[str, Kind]) -> Table:
    """Decode every column that is not declared ``drop``.

    Args:
        table: the rows, without the target; missing cells are left only where they make a category of their own.
        declared: types by column name; the others are inferred.
    """
    columns: list[Column] = []
    cells: list[Cells] = []
    problems: list[str] = []
    inferred: dict[str, list[str]] = {}
    for name in table.column_names:
        values = _plain(table.column(name))
        kind = declared.get(name)
        try:
            if kind is None:
                kind = _infer(values)
                inferred.setdefault(kind, []).append(name)
            column, decoded = DECODERS[kind](name, values, name in declared)
        except _BadColumn as bad:
            problems.append(f"column {name!r} {bad}")
            continue
        columns.append(column)
        cells.append(decoded)
    notes = tuple(f"inferred as {kind}: {', '.join(names)}" for kind, names in sorted(inferred.items()))
    return Table(tuple(columns), tuple(cells), notes, tuple(problems))


class _BadColumn(Exception):
    """Says what is wrong with a column and how to fix it."""


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionaries resolved, booleans as text, text without surrounding spaces."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "true", "false")
    return pc.utf8_trim_whitespace(values) if _is_text(values.type) else values


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _infer(values: pa.ChunkedArray) -> Kind:
    kind = values.type
    if pa.types.is_null(kind):
        raise _BadColumn("is empty; declare it 'drop'")
    if pa.types.is_integer(kind):
        extreme = max((abs(v.as_py() or 0) for v in pc.min_max(values).values()), default=0)
        return "integer" if extreme <= EXACT else "numeric"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numeric"
    if _is_text(kind):
        return "categorical"
    if pa.types.is_binary(kind):
        raise _BadColumn("is not UTF-8 text; convert the file to UTF-8 or declare it 'drop'")
    raise _BadColumn(f"holds {kind}, which is not supported; convert it to numbers or declare it 'drop'")


def _numbers(name: str, values: pa.ChunkedArray, kind: Literal["numeric", "integer"]) -> tuple[Column, Cells]:
    try:
        wide = values.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _BadColumn(f"is declared {kind} but holds {values.type}; declare it 'categorical' or 'drop'") from None
    with np.errstate(over="ignore"):
        cells = wide.astype(np.float32)
    finite = cells[np.isfinite(cells)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    return Column(name=name, kind=kind, low=low, high=high), cells


def _numeric(name: str, values: pa.ChunkedArray, declared: bool) -> tuple[Column, Cells]:  # noqa: ARG001
    return _numbers(name, values, "numeric")


def _integer(name: str, values: pa.ChunkedArray, declared: bool) -> tuple[Column, Cells]:  # noqa: ARG001
    column, cells = _numbers(name, values, "integer")
    finite = cells[np.isfinite(cells)]
    if (np.rint(finite) != finite).any():
        raise _BadColumn("is declared integer but holds fractions; declare it 'numeric'")
    if len(finite) and np.abs(finite).max() > EXACT:
        raise _BadColumn(f"is declared integer but exceeds {EXACT}, where float32 is not exact; declare it 'numeric'")
    return column, cells


def _categorical(name: str, values: pa.ChunkedArray, declared: bool) -> tuple[Column, Cells]:
    text = pc.fill_null(values.cast(pa.string()), MISSING)
    counts = sorted(
        ((pair["values"], pair["counts"]) for pair in pc.value_counts(text).to_pylist()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    many = len(counts) > MANY or (len(counts) > FEW and len(counts) > len(text) / 2)
    if declared and len(counts) > MAX_DECLARED:
        raise _BadColumn(f"has {len(counts)} categories; at most {MAX_DECLARED} are possible")
    if many and not declared:
        raise _BadColumn(
            f"looks like free text ({len(counts)} different values in {len(text)} rows); "
            "declare it 'drop' or 'categorical'"
        )
    categories = [value for value, _ in counts]
    codes = pc.index_in(text, value_set=pa.array(categories, type=pa.string()))
    return Column(name=name, kind="categorical", categories=tuple(categories)), codes.to_numpy().astype(np.float32)


DECODERS: Mapping[str, Any] = {"numeric": _numeric, "integer": _integer, "categorical": _categorical}
