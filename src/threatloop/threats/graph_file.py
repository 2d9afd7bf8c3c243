"""A threat graph as one file: Parquet, versioned, checked when read, written whole or not at all.

One row per node, then one per edge. Of a node, ``id``, ``kind``, ``name`` and ``text`` are set; of an edge ``source``,
``relation``, ``target``, ``provenance``, ``evidence`` and, where it was measured, ``value``, ``low``, ``high``, ``n`` and
``unit``. ``attributes`` is a JSON object or null. The version stands in the file's metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from threatloop.core.errors import InputError, Problems
from threatloop.threats.files import MIB, replacing
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Attribute, Edge, Effect, Evidence, Kind, Node, Relation

VERSION: Final = 1
MOST_BYTES: Final = 1024 * MIB
MOST_ROWS: Final = 10_000_000
_MARK: Final = b"threatloop.threat_graph"
_TEXT, _NUMBER, _WORD = pa.string(), pa.float64(), pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [
        ("id", _TEXT),
        ("kind", _WORD),
        ("name", _TEXT),
        ("text", _TEXT),
        ("source", _TEXT),
        ("relation", _WORD),
        ("target", _TEXT),
        ("provenance", _WORD),
        ("evidence", _WORD),
        ("value", _NUMBER),
        ("low", _NUMBER),
        ("high", _NUMBER),
        ("n", pa.int64()),
        ("unit", _WORD),
        ("attributes", _TEXT),
    ],
    metadata={_MARK: str(VERSION).encode()},
)


def save_graph(graph: ThreatGraph, path: Path) -> None:
    """Write a graph.

    Raises:
        InputError: the place cannot be written; what lies there stays as it was.
    """
    rows = [*map(_node_row, graph.nodes()), *map(_edge_row, graph.edges())]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with replacing(path) as draft:
        pq.write_table(table, draft, compression="zstd")


def load_graph(path: Path) -> ThreatGraph:
    """Read and check a graph.

    Raises:
        InputError: no such file, no graph, of a newer version, damaged or too large; one line.
        Problems: rows that are no nodes or edges, or edges that the ontology does not have.
    """
    columns = read_table(path).to_pydict()
    graph, problems = ThreatGraph(), list[str]()
    for row in range(len(columns["id"])):
        try:
            _add_row(graph, columns, row)
        except (InputError, ValueError, TypeError) as error:
            problems.append(f"row {row + 1}: {error}")
    if problems:
        raise Problems(str(path), shortened(problems))
    return graph


def read_table(path: Path) -> pa.Table:
    """The table of a graph file, of ``SCHEMA``; its version and bounds are checked, its rows are not.

    Raises:
        InputError: as `load_graph`.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such graph file; `threatloop threats import … --out {path}` writes one")
    try:
        file = pq.ParquetFile(path)
        _check_size(path, file.metadata)
        table = file.read()
        if missing := [name for name in SCHEMA.names if name not in table.column_names]:
            raise InputError(f"{path}: is no graph file of version {VERSION} (the column {missing[0]} is missing)")
        return table.select(SCHEMA.names).cast(SCHEMA)
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


def _node_row(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "kind": node.kind.value,
        "name": node.name,
        "text": node.text,
        "attributes": _written(node.attributes),
    }


def _edge_row(edge: Edge) -> dict[str, Any]:
    row = {
        "source": edge.source,
        "relation": edge.relation.value,
        "target": edge.target,
        "provenance": edge.provenance,
        "evidence": edge.evidence.value,
        "attributes": _written(edge.attributes),
    }
    if (effect := edge.effect) is not None:
        row |= {
            "value": effect.value,
            "low": effect.low,
            "high": effect.high,
            "n": effect.n,
            "unit": effect.unit,
        }
    return row


def _written(attributes: Mapping[str, Attribute]) -> str | None:
    return json.dumps(dict(attributes), ensure_ascii=False) if attributes else None


def _add_row(graph: ThreatGraph, columns: Mapping[str, list[Any]], row: int) -> None:
    attributes = _attributes(columns["attributes"][row])
    if (id_ := columns["id"][row]) is not None:
        kind = Kind(columns["kind"][row])
        graph.add(Node(id_, kind, columns["name"][row] or "", columns["text"][row] or "", attributes))
        return
    source, target, said = (columns[name][row] for name in ("source", "target", "provenance"))
    if source is None or target is None or said is None:
        raise ValueError("is neither a node with an id nor an edge with source, target and provenance")
    relation, evidence = Relation(columns["relation"][row]), Evidence(columns["evidence"][row])
    graph.connect(Edge(source, relation, target, said, evidence, _effect(columns, row), attributes))


def _effect(columns: Mapping[str, list[Any]], row: int) -> Effect | None:
    value = columns["value"][row]
    if value is None:
        return None
    low, high, n = (columns[name][row] for name in ("low", "high", "n"))
    if low is None or high is None or n is None or not all(map(math.isfinite, (value, low, high))):
        raise ValueError("states an effect without an interval and n, or one that is not finite")
    if low > high or n < 1:
        raise ValueError("states an effect whose interval is upside down, or with n below 1")
    return Effect(value, low, high, n, columns["unit"][row] or "")


def _attributes(text: str | None) -> dict[str, Attribute]:
    if text is None:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("attributes are no JSON object")
    return dict(_plain(found.items()))


def _plain(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Attribute]]:
    for name, value in items:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            yield name, tuple(value)
        elif isinstance(value, str | int | float | bool):
            yield name, value
        else:
            raise ValueError(f"attribute {name!r} is neither text, number, boolean nor a list of texts")
