"""What a vulnerability's place in the graph says of it: one row of numbers each, made without any label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind
from threatloop.threats.severity.network import LARGE, dependants, network, packages_of, reached

DEGREE = ("repositories reached", "vulnerabilities of the dependency", "repositories on the dependency")
POSITION = ("personalised PageRank", "betweenness", "core number", "size of the community")
NEIGHBOURS = ("neighbours", "own CWE among the neighbours", "distinct CWEs among the neighbours")
RATES = 10
"""Commonest CWEs of the graph, of which the share among the neighbours is a feature each."""
PRIOR = 5.0
"""Neighbours with the graph's own shares that are added to each, so that one neighbour is not a share of 1."""
_WORK = 1_000_000
"""Nodes and edges that the sampled betweenness may touch in all."""
_SOURCES = (8, 256)
"""Fewest and most sources of the sampled betweenness."""


@dataclass(frozen=True)
class Structure:
    """Features of vulnerabilities.

    Attributes:
        names: of the columns.
        values: shape (vulnerabilities, columns), float64, finite; counts are in logarithms, shares in [0, 1].
        reach: repositories that each reaches.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    reach: NDArray[np.int64]


def structure(graph: ThreatGraph, ids: Sequence[str], cwes: Sequence[tuple[str, ...]], streams: Streams) -> Structure:
    """Features of these vulnerabilities, with their CWEs in the same order.

    *Neighbours* of a vulnerability are those of other dependencies that reach one of the same repositories; for one
    without a dependency, all that do. Of networks above `LARGE`, betweenness and the size of the community are left at
    zero.

    Raises:
        InputError: networkx is not installed.
    """
    packages = [packages_of(graph, id_) for id_ in ids]
    repositories = [reached(graph, id_) for id_ in ids]
    sizes = Counter(package for some in packages for package in some)
    users = {package: len(dependants(graph, package)) for package in sizes}
    degree = [
        [len(reach), max((sizes[one] for one in some), default=0), max((users[one] for one in some), default=0)]
        for some, reach in zip(packages, repositories, strict=True)
    ]
    position = _position(network(graph), graph, ids, streams)
    neighbours, names = _neighbours(packages, repositories, cwes)
    values = np.hstack([np.log1p(np.array(degree, dtype=np.float64).reshape(-1, len(DEGREE))), position, neighbours])
    reach = np.array([len(some) for some in repositories], dtype=np.int64)
    return Structure((*DEGREE, *POSITION, *names), values, reach)


def _position(net: Any, graph: ThreatGraph, ids: Sequence[str], streams: Streams) -> NDArray[np.float64]:
    import networkx as nx

    if not ids:
        return np.zeros((0, len(POSITION)))
    starts = {node.id: 1.0 for node in graph.nodes(Kind.REPOSITORY)}
    pagerank = nx.pagerank(net, personalization=starts or None)
    work = max(1, net.number_of_nodes() + net.number_of_edges())
    sources = min(len(net), max(_SOURCES[0], min(_SOURCES[1], _WORK // work)))
    core = nx.core_number(net)
    between, size = dict.fromkeys(net, 0.0), dict.fromkeys(net, 1)
    if work <= LARGE:
        between = nx.betweenness_centrality(net, k=sources, seed=streams.integer("betweenness", bits=32))
        parts = nx.community.louvain_communities(net, seed=streams.integer("communities", bits=32))
        size = {node: len(some) for some in parts for node in some}
    floor = 1 / (len(net) * 1e3)
    rows = [[np.log(pagerank[id_] + floor), np.log1p(between[id_] * 1e6), core[id_], np.log(size[id_])] for id_ in ids]
    return np.array(rows, dtype=np.float64)


def _neighbours(
    packages: Sequence[tuple[str, ...]], repositories: Sequence[frozenset[str]], cwes: Sequence[tuple[str, ...]]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """How many neighbours, and which CWEs they have: by repository first, so that no pair is looked at."""
    counted = Counter(cwe for some in cwes for cwe in some)
    common = sorted(counted, key=lambda cwe: (-counted[cwe], cwe))
    overall = {cwe: counted[cwe] / len(cwes) for cwe in common}
    reaching: defaultdict[str, set[int]] = defaultdict(set)
    having: defaultdict[str, set[int]] = defaultdict(set)
    for row, (some, reach) in enumerate(zip(packages, repositories, strict=True)):
        for repository in reach:
            reaching[repository].add(row)
        for package in some:
            having[package].add(row)
    cache: dict[tuple[tuple[str, ...], frozenset[str]], Counter[str]] = {}
    rows = []
    for row, key in enumerate(zip(packages, repositories, strict=True)):
        if key not in cache:
            own = set().union(*(having[package] for package in key[0]))
            others = set().union(*(reaching[repository] for repository in key[1])) - own
            cache[key] = Counter({"": len(others)}) + Counter(cwe for one in others for cwe in cwes[one])
        rows.append(_shares(cache[key], cwes[row], overall, alone=not key[0]))
    names = (*NEIGHBOURS, *(f"{cwe} among the neighbours" for cwe in common[:RATES]))
    return np.array(rows, dtype=np.float64).reshape(-1, len(names)), names


def _shares(counts: Counter[str], own: tuple[str, ...], overall: Mapping[str, float], alone: bool) -> list[float]:
    """One row; a vulnerability without a dependency is among its own neighbours, and is taken out."""
    less = Counter({"": 1, **dict.fromkeys(own, 1)}) if alone and counts[""] else Counter[str]()
    n = counts[""] - less[""]
    left = {cwe: count - less[cwe] for cwe, count in counts.items() if cwe}

    def share(cwe: str) -> float:
        return (left.get(cwe, 0) + PRIOR * overall[cwe]) / (n + PRIOR)

    rates = [share(cwe) for cwe in list(overall)[:RATES]]
    kinds = sum(count > 0 for count in left.values())
    return [np.log1p(n), max((share(cwe) for cwe in own), default=0.0), np.log1p(kinds), *rates]
