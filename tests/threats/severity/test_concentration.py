"""Lorenz curve, Gini and top share against closed forms; intervals; communities that are really there."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.lifecycle_study import read_study
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation
from threatloop.threats.severity.communities import communities
from threatloop.threats.severity.concentration import concentration, gini, lorenz, top_share
from threatloop.threats.severity.estimate import Estimate, Missing


def test_equal_counts_have_no_concentration() -> None:
    counts = np.full(40, 3.0)
    assert gini(counts) == pytest.approx(0)
    assert top_share(counts) == pytest.approx(0.2)
    assert np.allclose(lorenz(counts)[:, 0], lorenz(counts)[:, 1])


def test_one_that_holds_all() -> None:
    counts = np.array([0.0] * 49 + [7.0])
    assert gini(counts) == pytest.approx(1 - 1 / 50)
    assert top_share(counts) == pytest.approx(1)


@pytest.mark.parametrize("shape", [1.5, 2.0, 3.0])
def test_pareto_counts(shape: float) -> None:
    """G = 1 / (2a − 1); the top share t holds t^(1 − 1/a)."""
    n = 400_000
    counts = ((np.arange(n) + 0.5) / n) ** (-1 / shape)
    assert gini(counts) == pytest.approx(1 / (2 * shape - 1), abs=0.01)
    assert top_share(counts) == pytest.approx(0.2 ** (1 - 1 / shape), abs=0.01)


def test_uniform_counts() -> None:
    """Of a uniform distribution from 0 on, G = 1/3 and the top fifth holds 1 − .8²."""
    counts = np.arange(1, 5001, dtype=np.float64)
    assert gini(counts) == pytest.approx(1 / 3, abs=1e-3)
    assert top_share(counts) == pytest.approx(0.36, abs=1e-3)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60).filter(any))
@settings(max_examples=80, deadline=None)
def test_gini_is_the_mean_absolute_difference_by_twice_the_mean(values: list[int]) -> None:
    counts = np.array(values, dtype=np.float64)
    slow = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert gini(counts) == pytest.approx(slow, abs=1e-9)
    curve = lorenz(counts)
    assert (np.diff(curve[:, 1], 2) >= -1e-12).all()
    assert curve[-1, 1] == pytest.approx(1)


def test_the_study(shared_data: Path) -> None:
    found = concentration(read_study(shared_data / "lifecycle_study").graph)
    assert isinstance(found.top_fifth, Estimate)
    assert isinstance(found.gini, Estimate)
    assert found.top_fifth.n == 227
    assert sum(found.counts) == 812
    assert found.unassigned == 22
    assert found.packages[0] == "google:tensorflow"
    assert round(found.top_fifth.value, 2) == 0.73
    assert found.gini.low < found.gini.value < found.gini.high
    assert not isinstance(found.communities, Missing)
    assert found.communities.modularity > 0.7


def test_what_cannot_be_computed_says_why() -> None:
    with pytest.raises(InputError, match="no vulnerability affects a package"):
        concentration(ThreatGraph([Node("CVE-1", Kind.VULNERABILITY, "CVE-1")]))
    few = concentration(_graph([3, 1]))
    assert isinstance(few.gini, Missing)
    same = concentration(_graph([2] * 8))
    assert isinstance(same.gini, Missing)
    assert "0.000" in str(same.gini)


def test_packages_without_a_vulnerability_are_counted_apart() -> None:
    graph = _graph([5, 4, 3, 2, 1, 0, 0])
    found = concentration(graph)
    assert found.counts == (5, 4, 3, 2, 1)
    assert found.without == 2
    assert concentration(graph) == concentration(graph)


def test_planted_communities_are_found_by_every_seed() -> None:
    net = nx.planted_partition_graph(4, 20, 0.6, 0.01, seed=7)
    found = communities(net, Streams(0, ("test",)))
    assert not isinstance(found, Missing)
    assert sorted(map(len, found.members)) == [20] * 4
    assert found.stability == pytest.approx(1)


def test_a_random_network_has_no_stable_communities() -> None:
    found = communities(nx.gnp_random_graph(80, 0.08, seed=7), Streams(0, ("test",)))
    assert not isinstance(found, Missing)
    assert found.stability < 0.8
    assert "no edge" in str(communities(nx.empty_graph(3), Streams(0, ("test",))))


def test_of_a_large_network_communities_are_not_computed() -> None:
    found = communities(nx.path_graph(80_000), Streams(0, ("test",)))
    assert isinstance(found, Missing)
    assert "159,999 nodes and edges" in found.because


def _graph(counts: list[int]) -> ThreatGraph:
    graph = ThreatGraph()
    for package, count in enumerate(counts):
        graph.add(Node(f"package:x/{package}", Kind.PACKAGE, str(package)))
        for number in range(count):
            id_ = f"CVE-{package}-{number}"
            graph.add(Node(id_, Kind.VULNERABILITY, id_))
            graph.connect(Edge(id_, Relation.AFFECTS, f"package:x/{package}", "test", Evidence.PUBLISHED))
    return graph


def test_what_no_edge_joins_is_no_community_and_a_bare_id_no_vulnerability() -> None:
    nodes = [Node(f"package:pypi/p{i}", Kind.PACKAGE, f"p{i}") for i in range(8)]
    holes = [Node(f"CVE-2024-{i}", Kind.VULNERABILITY, f"CVE-2024-{i}") for i in range(6)]
    bare = [Node(f"CVE-2023-{i}", Kind.VULNERABILITY, "", attributes={"stub": True}) for i in range(30)]
    edges = [
        Edge(hole.id, Relation.AFFECTS, node.id, "x", Evidence.PUBLISHED)
        for hole, node in zip(holes, nodes, strict=False)
    ]
    found = concentration(ThreatGraph([*nodes, *holes, *bare], edges))
    assert (found.without, found.unassigned) == (2, 0)
    assert not isinstance(found.communities, Missing)
    assert sorted(map(len, found.communities.members)) == [2] * 6
