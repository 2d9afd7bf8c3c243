"""As much of a graph as a page can show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Evidence, Kind, Node

MOST: Final = 900
"""Nodes up to which a drawing can be read, and a browser stays quick."""
_STRENGTH: Final = {level: place for place, level in enumerate(Evidence)}


@dataclass(frozen=True)
class Part:
    """Nodes of a graph, in its order, with every edge between them.

    Attributes:
        line: what was left out, in words; empty where nothing was.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    line: str


def part(graph: ThreatGraph, around: Sequence[str] = (), most: int = MOST) -> Part:
    """The whole graph where it is small enough, else the nodes nearest to some.

    Args:
        graph: any.
        around: ids to start from. Without any, threats are the start, those with measured edges first.
        most: nodes, ≥ 1.

    Raises:
        InputError: no such node.
    """
    for name in around:
        graph.node(name)
    if len(graph) <= most and not around:
        return _between(graph, {node.id for node in graph.nodes()}, "")
    starts = list(dict.fromkeys(around)) or _starts(graph)
    chosen = _nearest(graph, starts, most)
    if len(chosen) == len(graph):
        return _between(graph, chosen, "")
    of = "the threats" if not around else ", ".join(around[:3]) + f" and {len(around) - 3} more" * (len(around) > 3)
    line = (
        f"{len(chosen):,} of {len(graph):,} nodes are drawn: those nearest to {of}, where evidence is strongest first. "
        "GraphML and CSV hold all of them."
    )
    return _between(graph, chosen, line)


def _between(graph: ThreatGraph, chosen: set[str], line: str) -> Part:
    nodes = tuple(node for node in graph.nodes() if node.id in chosen)
    edges = tuple(edge for node in nodes for edge in graph.out(node.id) if edge.target in chosen)
    return Part(nodes, edges, line)


def _starts(graph: ThreatGraph) -> list[str]:
    names = [node.id for node in graph.nodes(Kind.THREAT)] or [node.id for node in graph.nodes()]
    return sorted(names, key=lambda name: _weight(graph, name, _edges(graph, name)))


def _nearest(graph: ThreatGraph, starts: Iterable[str], most: int) -> set[str]:
    waiting = deque(starts)
    chosen = set[str]()
    while waiting and len(chosen) < most:
        name = waiting.popleft()
        if name not in chosen:
            chosen.add(name)
            waiting.extend(other for other in _neighbours(graph, name) if other not in chosen)
    return chosen


def _neighbours(graph: ThreatGraph, name: str) -> list[str]:
    edges: dict[str, list[Edge]] = {}
    for edge in _edges(graph, name):
        edges.setdefault(edge.target if edge.source == name else edge.source, []).append(edge)
    return sorted(edges, key=lambda other: _weight(graph, other, edges[other]))


def _edges(graph: ThreatGraph, name: str) -> list[Edge]:
    return graph.out(name) + graph.into(name)


def _weight(graph: ThreatGraph, name: str, edges: Iterable[Edge]) -> tuple[int, int, str]:
    best = min((_STRENGTH[edge.evidence] for edge in edges), default=len(_STRENGTH))
    return best, -len(graph.out(name)) - len(graph.into(name)), name
