"""The part of the graph that severity is about - repositories, packages, vulnerabilities - for network measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Relation

if TYPE_CHECKING:
    import networkx

INSTALL = "pip install 'threatloop[threats]'"
LARGE = 150_000
"""Nodes and edges above which measures that take minutes are left out."""
KINDS = frozenset({Kind.REPOSITORY, Kind.PACKAGE, Kind.VULNERABILITY})


def network(graph: ThreatGraph) -> networkx.Graph:
    """Undirected and simple: depends-on and affects edges between `KINDS`; the nodes are ids, in the graph's order.

    Raises:
        InputError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError:
        raise InputError(f"network measures need networkx: {INSTALL}") from None
    kinds = {node.id: node.kind for node in graph.nodes() if node.kind in KINDS}
    made = networkx.Graph()
    made.add_nodes_from(kinds)
    for relation in (Relation.DEPENDS_ON, Relation.AFFECTS):
        made.add_edges_from(
            (edge.source, edge.target)
            for edge in graph.edges(relation)
            if edge.source in kinds and edge.target in kinds and edge.source != edge.target
        )
    return made


def packages_of(graph: ThreatGraph, vulnerability: str) -> tuple[str, ...]:
    """Ids of the packages that a vulnerability affects, sorted."""
    return _targets(graph, vulnerability, Kind.PACKAGE)


def dependants(graph: ThreatGraph, package: str) -> frozenset[str]:
    """Repositories that depend on a package, directly or through other packages."""
    seen, open_ = {package}, [package]
    found = set()
    while open_:
        for edge in graph.into(open_.pop(), Relation.DEPENDS_ON):
            if edge.source in seen:
                continue
            seen.add(edge.source)
            open_.append(edge.source)
            if graph.node(edge.source).kind is Kind.REPOSITORY:
                found.add(edge.source)
    return frozenset(found)


def reached(graph: ThreatGraph, vulnerability: str) -> frozenset[str]:
    """Repositories that a vulnerability affects: those that are named, or where none is, the packages' dependants."""
    named = frozenset(_targets(graph, vulnerability, Kind.REPOSITORY))
    if named:
        return named
    return frozenset().union(*(dependants(graph, package) for package in packages_of(graph, vulnerability)))


def _targets(graph: ThreatGraph, vulnerability: str, kind: Kind) -> tuple[str, ...]:
    edges = graph.out(vulnerability, Relation.AFFECTS)
    return tuple(sorted({edge.target for edge in edges if graph.node(edge.target).kind is kind}))
