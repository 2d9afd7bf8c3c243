"""What a graph holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node


@dataclass(frozen=True)
class Concentration:
    """How unevenly the edges are spread over nodes that have any.

    Attributes:
        nodes: with at least one edge.
        alone: without any.
        top_share: of all ends of edges, the share at the fifth of the nodes that has most; None without edges.
        hubs: the nodes with most edges and how many each has, the first ten.
    """

    nodes: int
    alone: int
    top_share: float | None
    hubs: tuple[tuple[Node, int], ...]


@dataclass(frozen=True)
class Stats:
    """Counts of a graph.

    Attributes:
        nodes: by kind.
        edges: by relation and level of evidence.
        threats: by direction (``none`` for what is no arrow between data and models) and stage; a threat in several
            stages counts in each.
        measured_edges: edges with an effect.
        degrees: how the edges are spread.
    """

    nodes: Mapping[str, int]
    edges: Mapping[tuple[str, str], int]
    threats: Mapping[tuple[str, str], int]
    measured_edges: int
    degrees: Concentration


def stats(graph: ThreatGraph) -> Stats:
    """Count."""
    # Here, as it brings scikit-learn along, and the audit's report needs only `cells_of`.
    from threatloop.threats.severity.concentration import top_share

    edges = list(graph.edges())
    degrees = Counter(end for edge in edges for end in (edge.source, edge.target))
    return Stats(
        nodes=Counter(node.kind.value for node in graph.nodes()),
        edges=Counter((edge.relation.value, edge.evidence.value) for edge in edges),
        threats=Counter(cell for node in graph.nodes(Kind.THREAT) for cell in cells_of(node)),
        measured_edges=sum(edge.effect is not None for edge in edges),
        degrees=Concentration(
            nodes=len(degrees),
            alone=len(graph) - len(degrees),
            top_share=top_share(np.array([*degrees.values()], dtype=np.float64)) if degrees else None,
            hubs=tuple((graph.node(id_), n) for id_, n in degrees.most_common(10)),
        ),
    )


def cells_of(threat: Node) -> tuple[tuple[str, str], ...]:
    """The pairs of direction and stage in which a threat stands; a threat without stages stands at ``unknown``."""
    stages = threat.attributes.get("stages")
    direction = str(threat.attributes.get("direction", "none"))
    return tuple((direction, stage) for stage in (stages if isinstance(stages, tuple) and stages else ("unknown",)))
