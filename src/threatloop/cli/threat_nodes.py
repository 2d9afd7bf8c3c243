"""``threatloop threats show`` and ``search``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.markup import escape

from threatloop.cli.console import WIDTH, console
from threatloop.cli.threat_graphs import as_json, edge_json, node_json, opened
from threatloop.cli.threat_words import count, evidence, table
from threatloop.core.catalogue import nearest
from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Kind, Node

MOST_EDGES = 15
"""Edges of one relation and direction that are listed."""
_INDENT = "  "


def show(said: str, graph: Path | None, atlas: Path | None, json: bool) -> int:
    """Print one node and its edges."""
    from threatloop.threats.queries.naming import resolve

    found = opened(graph, atlas)
    node = found.node(resolve(said, {one.id: one.name for one in found.nodes()}))
    out, into = found.out(node.id), found.into(node.id)
    if json:
        return as_json({**node_json(node), "out": [*map(edge_json, out)], "into": [*map(edge_json, into)]})
    _tell(node)
    _list(found, out, outwards=True)
    _list(found, into, outwards=False)
    return 0


def search(words: str, kind: str | None, most: int, graph: Path | None, atlas: Path | None, json: bool) -> int:
    """Print the nodes that hold the words."""
    from threatloop.threats.queries.search import search as query

    found = query(opened(graph, atlas), words, _kind(kind), most)
    hits = found.hits
    if json:
        rows = [node_json(hit.node) | {"score": min(hit.score, 1e9)} for hit in hits]
        return as_json({"words": words, "read_as": found.read_as, "hits": rows})
    out = console()
    for word, other in found.read_as.items():
        out.print(escape(f"no node holds {word!r}; searched for {other!r}"), style="dim")
    if not hits:
        out.print(escape(f"no node holds any of: {words}"))
        return 0
    shown = table(count(len(hits), "node"), "id", "kind", "name")
    for hit in hits:
        shown.add_row(escape(hit.node.id), hit.node.kind.value, escape(hit.node.name))
    out.print(shown)
    return 0


def _kind(said: str | None) -> Kind | None:
    if said is None:
        return None
    if said not in list(Kind):
        raise InputError(
            f"unknown kind {said!r}{nearest(said, [one.value for one in Kind])}; allowed: {', '.join(Kind)}"
        )
    return Kind(said)


def _tell(node: Node) -> None:
    out = console()
    out.print(f"[bold]{escape(node.name)}[/]  {escape(node.id)}  [dim]{node.kind.value}[/]")
    for line in _wrapped(node.text):
        out.print(escape(line))
    for name, value in node.attributes.items():
        text = _text(value)
        if text:
            for line in _wrapped(f"{name.replace('_', ' ')}: {text}"):
                out.print(escape(line), style="dim")


def _list(graph: ThreatGraph, edges: Sequence[Edge], *, outwards: bool) -> None:
    out = console()
    for relation in dict.fromkeys(edge.relation for edge in edges):
        group = [edge for edge in edges if edge.relation is relation]
        out.print(f"[bold]{relation.value.replace('-', ' ')}[/]" if outwards else f"[bold]… {relation.value} this[/]")
        for edge in group[:MOST_EDGES]:
            other = graph.node(edge.target if outwards else edge.source)
            for line in _wrapped(f"{other.id}  {_name(other)}({evidence(edge)}; {edge.provenance})"):
                out.print(escape(line))
        if len(group) > MOST_EDGES:
            out.print(f"{_INDENT}… and {len(group) - MOST_EDGES} more; --json lists them all", style="dim")


def _name(node: Node) -> str:
    return f"{node.name}  " if node.name not in (node.id, "") else ""


def _wrapped(text: str) -> Iterable[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT * 2, break_on_hyphens=False)


def _text(value: Attribute) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
