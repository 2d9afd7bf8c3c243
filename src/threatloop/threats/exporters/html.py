"""The graph as one interactive page: drawn here, so that it opens at once and is there without a script too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from markupsafe import Markup

from threatloop.threats.exporters.layers import BOX, Box, layout
from threatloop.threats.exporters.neighbourhood import part
from threatloop.threats.exporters.page import page
from threatloop.threats.exporters.text import for_script
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation, meaning

_LABEL: Final = 26
"""Characters of a name that fit into a box."""


@dataclass(frozen=True)
class Choice:
    """One box to tick: a kind, a relation or a level of evidence, and how many there are."""

    name: str
    count: int
    meaning: str = ""


@dataclass(frozen=True)
class Line:
    """An edge as drawn; ``path`` is an SVG path, ``style`` a class."""

    path: str
    style: str


def html(graph: ThreatGraph, around: Sequence[str] = ()) -> str:
    """The page. Where the graph is too large to be read, it shows the nodes nearest to some, and says so.

    Args:
        graph: any.
        around: ids to start from; the threats by default.

    Raises:
        InputError: no such node.
    """
    shown = part(graph, around)
    places = layout(shown.nodes, shown.edges)
    number = {node.id: place for place, node in enumerate(shown.nodes)}
    return page(
        "graph.html.j2",
        ["graph.css"],
        "graph.js",
        boxes=[(box, _short(box.node)) for box in places.boxes],
        lines=[_line(edge, places.boxes, number) for edge in shown.edges],
        layout=places,
        box=BOX,
        cut=shown.line,
        nodes=len(shown.nodes),
        edges=len(shown.edges),
        kinds=_choices(Kind, (node.kind for node in shown.nodes)),
        relations=_choices(Relation, (edge.relation for edge in shown.edges)),
        evidence=[
            Choice(one.name, one.count, meaning(Evidence(one.name)))
            for one in _choices(Evidence, (edge.evidence for edge in shown.edges))
        ],
        data=Markup(for_script(_data(shown.nodes, shown.edges, places.boxes, number))),
    )


def _choices(of: type[StrEnum], found: Iterable[StrEnum]) -> list[Choice]:
    counts = Counter(found)
    return [Choice(one.value, counts[one]) for one in of if counts[one]]


def _short(node: Node) -> str:
    name = " ".join((node.name or node.id).split())
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"


def _line(edge: Edge, boxes: Sequence[Box], number: dict[str, int]) -> Line:
    source, target = boxes[number[edge.source]], boxes[number[edge.target]]
    (width, height), left, right = BOX, source.x, target.x
    if left < right:
        left += width
    elif left > right:
        right += width
    bend = (right - left) // 2
    # Within a column the line leaves and arrives on the left.
    out, into = (left + bend, right - bend) if bend else (left - 36, right - 36)
    y, end = source.y + height // 2, target.y + height // 2
    path = f"M{left} {y}C{out} {y} {into} {end} {right} {end}"
    return Line(path, f"edge v-{edge.evidence.value}")


def _data(
    nodes: Sequence[Node], edges: Sequence[Edge], boxes: Sequence[Box], number: dict[str, int]
) -> dict[str, list[Any]]:
    return {
        "nodes": [_of_node(node, box) for node, box in zip(nodes, boxes, strict=True)],
        "edges": [_of_edge(edge, number) for edge in edges],
    }


def _of_node(node: Node, box: Box) -> dict[str, Any]:
    texts = {key: "; ".join(of) if isinstance(of, tuple) else str(of) for key, of in node.attributes.items()}
    about = {key: text for key, text in texts.items() if text}
    name = node.name or node.id
    return {"id": node.id, "kind": node.kind.value, "name": name, "text": node.text, "about": about, "c": box.column}


def _of_edge(edge: Edge, number: dict[str, int]) -> list[Any]:
    size = ""
    if effect := edge.effect:
        unit = f" {effect.unit}" if effect.unit else ""
        size = f"{effect.value:.3g}{unit} [{effect.low:.3g}, {effect.high:.3g}], n = {effect.n}"
    ends = number[edge.source], number[edge.target]
    return [*ends, edge.relation.value, edge.evidence.value, edge.provenance, size]
