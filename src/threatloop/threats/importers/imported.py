"""What every importer returns: nodes and edges for a graph, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Node


@dataclass(frozen=True)
class Imported:
    """What a source brings.

    Attributes:
        source: the file or data set, with its version.
        nodes: new or renewed; one that a graph has already is replaced, though never by a stub: a node with the
            attribute ``stub``, which only holds a place for what another source describes.
        edges: their ends are among the nodes, or must be in the graph that they go to.
        left_out: what was not understood or does not count, one line each, with the reason.
    """

    source: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: tuple[str, ...] = ()

    def add_to(self, graph: ThreatGraph) -> tuple[str, ...]:
        """Add everything that has its place, and return what has none, one line per missing end.

        Raises:
            InputError: a node changes its kind, or the ontology has no such edge.
        """
        for node in self.nodes:
            if not (node.attributes.get("stub") and node.id in graph):
                graph.add(node)
        missing: Counter[str] = Counter()
        for edge in self.edges:
            lost = [end for end in (edge.source, edge.target) if end not in graph]
            missing.update(lost)
            if not lost:
                graph.connect(edge)
        return tuple(
            f"{self.source}: {n} edge{'s' * (n != 1)} left out, because the graph has no node {id_!r}"
            for id_, n in sorted(missing.items())
        )
