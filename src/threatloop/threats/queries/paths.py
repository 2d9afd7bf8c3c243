"""The most plausible paths from one node of a graph to another.

Edges are walked in the direction in which harm spreads: as they are written, except that ``depends-on`` is walked from
the package to what depends on it. No path goes through a mitigation, which may only be an end: that a defence against
one threat amplifies another leads no attacker from the first to the second. How plausible a step is says `weights`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError
from threatloop.threats.ontology import Edge, Kind, Node, Relation
from threatloop.threats.queries import weights
from threatloop.threats.queries.columns import KINDS, RELATIONS, Columns, Ints
from threatloop.threats.queries.k_shortest import Arcs, cheapest_paths

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


@dataclass(frozen=True)
class _Ways:
    """The arcs that may be walked, and which edge each of them is."""

    arcs: Arcs
    edges: Ints


class PathIndex:
    """A graph made ready for many questions."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._place = {id_: place for place, id_ in enumerate(columns.ids)}
        self._plausible = weights.plausibilities(columns)
        turned = np.isin(columns.relations, [RELATIONS.index(one) for one in AGAINST])
        self._tails = np.where(turned, columns.targets, columns.sources)
        self._heads = np.where(turned, columns.sources, columns.targets)
        self._mitigations = columns.kinds == KINDS.index(Kind.MITIGATION)
        self._usual = self._ways(~self._mitigations[self._heads])

    def paths(self, source: str, target: str, k: int = 5) -> tuple[Path, ...]:
        """The ``k`` most plausible paths, the best first; fewer where there are no more.

        Args:
            source, target: ids of two different nodes.
            k: from 1 to ``MOST``.

        Raises:
            InputError: no such node, the same node twice, or k out of its range.
        """
        for id_ in (source, target):
            if id_ not in self._place:
                raise InputError(f"no node {id_!r} in the graph")
        if source == target:
            raise InputError(f"a path needs two different ends; both are {source!r}")
        if not 1 <= k <= MOST:
            raise InputError(f"{k} paths: ask for 1 to {MOST}")
        end = self._place[target]
        ways = self._usual
        if self._mitigations[end]:
            ways = self._ways(~self._mitigations[self._heads] | (self._heads == end))
        found = cheapest_paths(ways.arcs, self._place[source], end, k)
        return tuple(
            Path(tuple(self._hop(ways, *step) for step in pairwise(nodes)), math.exp(-cost)) for cost, nodes in found
        )

    def _ways(self, open_: npt.NDArray[np.bool_]) -> _Ways:
        numbers = np.flatnonzero(open_)
        costs = -np.log(self._plausible[numbers])
        return _Ways(Arcs(len(self._columns.ids), self._tails[numbers], self._heads[numbers], costs), numbers)

    def _hop(self, ways: _Ways, tail: int, head: int) -> Hop:
        number = int(ways.edges[ways.arcs.arc(tail, head)])
        ends = (self._columns.node(tail), self._columns.node(head))
        return Hop(self._columns.edge(number), *ends, float(self._plausible[number]))
