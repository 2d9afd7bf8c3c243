"""Two CSV tables, ``nodes.csv`` and ``edges.csv``, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from threatloop.threats.exporters.text import for_cell
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Node

NODES, EDGES = "nodes.csv", "edges.csv"
_OF_NODE = ("id", "kind", "name", "text")
_OF_EDGE = ("source", "relation", "target", "evidence", "provenance", "effect", "low", "high", "n", "unit")


def tables(graph: ThreatGraph) -> dict[str, str]:
    """The text of both tables by file name; RFC 4180, with a line feed at the end of each row.

    One column for each further attribute, after the fixed ones; tuples are joined with ``; ``. An attribute with the
    name of a fixed column is ``attribute:NAME``. Empty cells are unknown.
    """
    nodes, edges = list(graph.nodes()), list(graph.edges())
    return {
        NODES: _table(_OF_NODE, ((_of_node(node), node.attributes) for node in nodes), nodes),
        EDGES: _table(_OF_EDGE, ((_of_edge(edge), edge.attributes) for edge in edges), edges),
    }


def _table(
    fixed: Sequence[str],
    rows: Iterable[tuple[Sequence[Attribute | None], Mapping[str, Attribute]]],
    things: Sequence[Node | Edge],
) -> str:
    further = sorted({key for thing in things for key in thing.attributes})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*fixed, *(for_cell(f"attribute:{key}" if key in fixed else key) for key in further)])
    for cells, attributes in rows:
        writer.writerow([_cell(value) for value in (*cells, *(attributes.get(key) for key in further))])
    return out.getvalue()


def _of_node(node: Node) -> tuple[str, ...]:
    return node.id, node.kind.value, node.name, node.text


def _of_edge(edge: Edge) -> tuple[Attribute | None, ...]:
    effect = edge.effect
    size = (effect.value, effect.low, effect.high, effect.n, effect.unit) if effect else (None,) * 5
    return edge.source, edge.relation.value, edge.target, edge.evidence.value, edge.provenance, *size


def _cell(value: Attribute | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return for_cell(value if isinstance(value, str) else "; ".join(value))
