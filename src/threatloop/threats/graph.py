"""The graph itself: nodes by id, typed edges between them, and every problem of what is added at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from threatloop.core.errors import InputError
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation, allowed, ends

_ORDER = {level: place for place, level in enumerate(Evidence)}


class ThreatGraph:
    """A typed, directed multigraph. Edges of the same three parts but other provenance stand side by side."""

    def __init__(self, nodes: Iterable[Node] = (), edges: Iterable[Edge] = ()) -> None:
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, Relation, str, str], Edge] = {}
        self._out: defaultdict[str, list[Edge]] = defaultdict(list)
        self._into: defaultdict[str, list[Edge]] = defaultdict(list)
        self.extend(nodes, edges)

    def extend(self, nodes: Iterable[Node], edges: Iterable[Edge]) -> None:
        """Add these; a node that is there already is replaced where the kind is the same.

        Raises:
            InputError: a node changes its kind, an edge ends nowhere, or the ontology has no such relation.
        """
        for node in nodes:
            self.add(node)
        for edge in edges:
            self.connect(edge)

    def add(self, node: Node) -> None:
        old = self._nodes.get(node.id)
        if old is not None and old.kind is not node.kind:
            raise InputError(f"{node.id}: is a {old.kind} in the graph and a {node.kind} in what is added")
        self._nodes[node.id] = node

    def connect(self, edge: Edge) -> None:
        """Add an edge, or put it in the place of the one with the same ends, relation and provenance."""
        self._check(edge)
        key = (edge.source, edge.relation, edge.target, edge.provenance)
        old = self._edges.get(key)
        self._edges[key] = edge
        for side, end in ((self._out, edge.source), (self._into, edge.target)):
            if old is None:
                side[end].append(edge)
            else:
                side[end][side[end].index(old)] = edge

    def _check(self, edge: Edge) -> None:
        for end in (edge.source, edge.target):
            if end not in self._nodes:
                raise InputError(f"edge {edge.source} {edge.relation} {edge.target}: no node {end!r} in the graph")
        source, target = self._nodes[edge.source].kind, self._nodes[edge.target].kind
        if not allowed(source, edge.relation, target):
            sources, targets = (", ".join(sorted(side)) for side in ends(edge.relation))
            raise InputError(
                f"edge {edge.source} {edge.relation} {edge.target}: goes from a {source} to a {target}; allowed are "
                f"{sources} to {targets}"
            )

    def __contains__(self, id_: object) -> bool:
        return id_ in self._nodes

    def node(self, id_: str) -> Node:
        """The node of this id.

        Raises:
            InputError: there is none.
        """
        if id_ not in self._nodes:
            raise InputError(f"no node {id_!r} in the graph")
        return self._nodes[id_]

    def nodes(self, kind: Kind | None = None) -> Iterator[Node]:
        """All nodes, or those of a kind, in the order they came in."""
        return (node for node in self._nodes.values() if kind is None or node.kind is kind)

    def edges(self, relation: Relation | None = None) -> Iterator[Edge]:
        """All edges, or those of a relation, in the order they came in."""
        return (edge for edge in self._edges.values() if relation is None or edge.relation is relation)

    def out(self, id_: str, relation: Relation | None = None) -> list[Edge]:
        """The edges that start at a node."""
        return [edge for edge in self._out.get(id_, ()) if relation is None or edge.relation is relation]

    def into(self, id_: str, relation: Relation | None = None) -> list[Edge]:
        """The edges that lead to a node."""
        return [edge for edge in self._into.get(id_, ()) if relation is None or edge.relation is relation]

    def best(self, source: str, relation: Relation, target: str) -> Edge | None:
        """Of the edges that say this, the one with the strongest evidence."""
        found = [edge for edge in self.out(source, relation) if edge.target == target]
        return min(found, key=lambda edge: _ORDER[edge.evidence], default=None)

    def __len__(self) -> int:
        return len(self._nodes)
