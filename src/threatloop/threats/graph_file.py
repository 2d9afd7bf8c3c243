"""A threat graph as one file: Parquet, versioned, checked when read, written whole or not at all.

One row per node, then one per edge, in the columns of `graph_rows`; the version stands in the file's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from threatloop.core.errors import InputError, Problems
from threatloop.core.files import replacing
from threatloop.threats.files import MIB
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_rows import EDGE_COLUMNS, NODE_COLUMNS, SCHEMA, edge_of, edge_row, node_of, node_row
from threatloop.threats.importers.problem_list import shortened

VERSION: Final = 1
MOST_BYTES: Final = 1024 * MIB
MOST_ROWS: Final = 10_000_000
_MARK: Final = b"threatloop.threat_graph"


def save_graph(graph: ThreatGraph, path: Path) -> None:
    """Write a graph.

    Raises:
        InputError: the place cannot be written; what lies there stays as it was.
    """
    rows = [*map(node_row, graph.nodes()), *map(edge_row, graph.edges())]
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({_MARK: str(VERSION).encode()}))
    with replacing(path) as draft:
        pq.write_table(table, draft, compression="zstd")


def load_graph(path: Path) -> ThreatGraph:
    """Read and check a graph.

    Raises:
        InputError: no such file, no graph, of a newer version, damaged or too large; one line.
        Problems: rows that are no nodes or edges, or edges that the ontology does not have.
    """
    tables = read_tables(path)
    graph, problems = ThreatGraph(), list[str]()
    parts: tuple[tuple[Any, ...], ...] = (
        (tables.nodes, tables.node_rows, NODE_COLUMNS, lambda cells: graph.add(node_of(*cells))),
        (tables.edges, tables.edge_rows, EDGE_COLUMNS, lambda cells: graph.connect(edge_of(*cells))),
    )
    for table, number, columns, add in parts:
        for row, cells in zip(number.tolist(), _cells(table, columns), strict=True):
            try:
                add(cells)
            except (InputError, ValueError, TypeError) as error:
                problems.append(f"row {row + 1}: {error}")
    if problems:
        raise Problems(str(path), shortened(problems))
    return graph


@dataclass(frozen=True)
class Tables:
    """The rows of a graph file by what they are, unchecked.

    Attributes:
        nodes: with at least ``NODE_COLUMNS``; every ``id`` is set.
        edges: with at least ``EDGE_COLUMNS``.
        node_rows, edge_rows: their places in the file, from 0.
    """

    nodes: pa.Table
    edges: pa.Table
    node_rows: npt.NDArray[np.int64]
    edge_rows: npt.NDArray[np.int64]


def read_tables(path: Path) -> Tables:
    """The rows of a graph file; its version and bounds are checked, its rows are not.

    Raises:
        InputError: as `load_graph`.
    """
    table = _read(path)
    is_node = table.column("id").is_valid()
    mask = present(table.column("id"))
    return Tables(table.filter(is_node), table.filter(pc.invert(is_node)), np.flatnonzero(mask), np.flatnonzero(~mask))


def present(column: Any) -> npt.NDArray[np.bool_]:
    """Where a column has a cell."""
    return numbers(column.is_valid().cast(pa.uint8()), 0).astype(bool)


def numbers(column: Any, absent: float) -> npt.NDArray[Any]:
    """A column of numbers, ``absent`` where there is none.

    Arrow's own ``to_numpy`` and ``fill_null`` import pandas first, which takes longer than everything else here.
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cells = pa.Array.from_buffers(whole.type, len(whole), [None, whole.buffers()[1]], offset=whole.offset)
    found = np.from_dlpack(cells)
    return np.where(present(whole), found, absent) if whole.null_count else found


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise InputError(f"{path}: there is no such graph file; `threatloop threats import … --out {path}` writes one")
    try:
        file = pq.ParquetFile(path)
        _check_size(path, file.metadata)
        table = file.read()
        if missing := [name for name in SCHEMA.names if name not in table.column_names]:
            raise InputError(f"{path}: is no graph file of version {VERSION} (the column {missing[0]} is missing)")
        return table.select(SCHEMA.names).cast(SCHEMA).unify_dictionaries().combine_chunks()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: is no graph file, or damaged ({str(error).splitlines()[0][:120]})") from None


def _check_size(path: Path, about: Any) -> None:
    version = (about.metadata or {}).get(_MARK, b"").decode("ascii", "replace")
    if not version.isdigit():
        raise InputError(f"{path}: is no graph file (its metadata states no version)")
    if int(version) > VERSION:
        raise InputError(
            f"{path}: of version {version}, written by a newer threatloop; this one reads up to {VERSION}, so upgrade"
        )
    size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if about.num_rows > MOST_ROWS or size > MOST_BYTES:
        raise InputError(
            f"{path}: holds {about.num_rows:,} rows of {size // MIB:,} MiB; at most {MOST_ROWS:,} of "
            f"{MOST_BYTES // MIB:,} MiB are read"
        )


def _cells(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    # Dictionaries become texts first: by themselves they are turned into Python objects a hundred times slower.
    plain = [pa.string() if pa.types.is_dictionary(SCHEMA.field(name).type) else None for name in columns]
    lists = [
        (table.column(name) if kind is None else table.column(name).cast(kind)).to_pylist()
        for name, kind in zip(columns, plain, strict=True)
    ]
    return zip(*lists, strict=True)
