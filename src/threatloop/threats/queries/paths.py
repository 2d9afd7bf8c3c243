"""The most plausible paths from one node of a graph to another.

Edges are walked in the direction in which harm spreads: as they are written, except that ``depends-on`` is walked from
the package to what depends on it. How plausible a step is says `weights`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Node, Relation
from threatloop.threats.queries import weights
from threatloop.threats.queries.k_shortest import Arcs, Floats, Ints, cheapest_paths

MOST: Final = 100
AGAINST: Final = frozenset({Relation.DEPENDS_ON})
"""Relations that are walked from target to source."""


@dataclass(frozen=True)
class Hop:
    """One step.

    Attributes:
        edge: the most plausible of those between the two nodes.
        source, target: the nodes in the order of the path.
        plausibility: in (0, 1).
    """

    edge: Edge
    source: Node
    target: Node
    plausibility: float


@dataclass(frozen=True)
class Path:
    """A path without loops.

    Attributes:
        plausibility: the product over its steps, in (0, 1); no probability.
    """

    hops: tuple[Hop, ...]
    plausibility: float

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.hops[0].source, *(hop.target for hop in self.hops))


class PathIndex:
    """A graph made ready for many questions; later changes of the graph do not reach it."""

    def __init__(self, graph: ThreatGraph) -> None:
        self._graph = graph
        self._edges = tuple(graph.edges())
        self._ids = [node.id for node in graph.nodes()]
        self._place = {id_: place for place, id_ in enumerate(self._ids)}
        cost = weights.costs(graph)
        self._costs: Floats = np.array([cost(edge) for edge in self._edges], dtype=np.float64)
        tails, heads = (self._places([_ends(edge)[side] for edge in self._edges]) for side in (0, 1))
        self._arcs = Arcs(len(self._ids), tails, heads, self._costs)

    def paths(self, source: str, target: str, k: int = 5) -> tuple[Path, ...]:
        """The ``k`` most plausible paths, the best first; fewer where there are no more.

        Args:
            source, target: ids of two different nodes.
            k: from 1 to ``MOST``.

        Raises:
            InputError: no such node, the same node twice, or k out of its range.
        """
        for id_ in (source, target):
            self._graph.node(id_)
        if source == target:
            raise InputError(f"a path needs two different ends; both are {source!r}")
        if not 1 <= k <= MOST:
            raise InputError(f"{k} paths: ask for 1 to {MOST}")
        found = cheapest_paths(self._arcs, self._place[source], self._place[target], k)
        return tuple(Path(self._hops(nodes), math.exp(-cost)) for cost, nodes in found)

    def _hops(self, nodes: Sequence[int]) -> tuple[Hop, ...]:
        return tuple(self._hop(tail, head) for tail, head in zip(nodes, nodes[1:], strict=False))

    def _hop(self, tail: int, head: int) -> Hop:
        number = self._arcs.arc(tail, head)
        source, target = (self._graph.node(self._ids[place]) for place in (tail, head))
        return Hop(self._edges[number], source, target, math.exp(-float(self._costs[number])))

    def _places(self, ids: Sequence[str]) -> Ints:
        return np.fromiter((self._place[id_] for id_ in ids), dtype=np.int64, count=len(ids))


def _ends(edge: Edge) -> tuple[str, str]:
    return (edge.target, edge.source) if edge.relation in AGAINST else (edge.source, edge.target)
