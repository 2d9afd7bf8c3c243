"""Communities of a network by the Louvain method, and how far they can be trusted.

Blondel et al. 2008, "Fast unfolding of communities in large networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import adjusted_rand_score

from threatloop.core.seeds import Streams
from threatloop.threats.severity.estimate import Missing
from threatloop.threats.severity.network import LARGE

if TYPE_CHECKING:
    import networkx

RUNS = 20
_WORK = 200_000
"""Nodes and edges that all runs together may touch; larger networks get fewer runs, at least two."""


@dataclass(frozen=True)
class Communities:
    """The partition of highest modularity among several runs.

    Attributes:
        members: ids, the largest community first.
        modularity: of the partition.
        range: lowest and highest modularity of the runs.
        stability: mean adjusted Rand index of pairs of runs: 1 where every seed finds the same, about 0 by chance.
        lowest: the least alike pair.
        runs: how many, each with its own named seed.
    """

    members: tuple[tuple[str, ...], ...]
    modularity: float
    range: tuple[float, float]
    stability: float
    lowest: float
    runs: int


def communities(net: networkx.Graph, streams: Streams) -> Communities | Missing:
    """Communities of an undirected network; not computed where it has no edge, or is above `LARGE`.

    A node without any edge belongs to none: each would be a community of its own, the same one for every seed.
    """
    import networkx as nx

    net = net.subgraph([node for node, edges in net.degree() if edges]).copy()

    work = net.number_of_nodes() + net.number_of_edges()
    if net.number_of_edges() == 0:
        return Missing("no edge joins the nodes")
    if work > LARGE:
        return Missing(f"the network has {work:,} nodes and edges, and above {LARGE:,} it takes minutes")
    runs = max(2, min(RUNS, _WORK // work))
    numbers = {node: k for k, node in enumerate(net)}
    found, labels, quality = [], [], []
    for run in range(runs):
        parts = nx.community.louvain_communities(net, seed=streams.integer(f"run-{run}", bits=32))
        label = np.empty(len(numbers), dtype=np.int64)
        for k, part in enumerate(parts):
            label[[numbers[node] for node in part]] = k
        found.append(parts)
        labels.append(label)
        quality.append(nx.community.modularity(net, parts))
    alike = [adjusted_rand_score(one, other) for one, other in combinations(labels, 2)]
    best = int(np.argmax(quality))
    members = sorted((tuple(sorted(part)) for part in found[best]), key=lambda part: (-len(part), part))
    return Communities(
        tuple(members),
        float(quality[best]),
        (float(min(quality)), float(max(quality))),
        float(np.mean(alike)),
        float(min(alike)),
        runs,
    )
