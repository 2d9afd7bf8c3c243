"""The guided search for cheapest paths against the slow obvious one."""

from __future__ import annotations

from itertools import islice, pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threatloop.threats.queries.k_shortest import Arcs, cheapest_paths

Listed = list[tuple[int, int, float]]


def arcs(n: int, listed: Listed) -> Arcs:
    tails, heads = (np.array([arc[side] for arc in listed], dtype=np.int64) for side in (0, 1))
    return Arcs(n, tails, heads, np.array([cost for *_, cost in listed], dtype=np.float64))


def by_networkx(n: int, listed: Listed, source: int, target: int, k: int) -> list[tuple[float, tuple[int, ...]]]:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    for tail, head, cost in listed:
        if tail != head and cost < graph.get_edge_data(tail, head, {"weight": np.inf})["weight"]:
            graph.add_edge(tail, head, weight=cost)
    try:
        found = list(islice(nx.shortest_simple_paths(graph, source, target, weight="weight"), k))
    except nx.NetworkXNoPath:
        return []
    return [(sum(graph[a][b]["weight"] for a, b in pairwise(path)), tuple(path)) for path in found]


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, Listed, int, int, int]:
    n = draw(st.integers(2, 9))
    node, cost = st.integers(0, n - 1), st.sampled_from([0.1, 0.25, 0.5, 0.51, 0.7, 1.0, 2.3])
    listed = draw(st.lists(st.tuples(node, node, cost), max_size=36))
    source, target = draw(st.permutations(range(n)))[:2]
    return n, listed, source, target, draw(st.integers(1, 12))


@settings(max_examples=250, deadline=None)
@given(questions())
def test_the_same_costs_as_the_slow_search_and_no_loops(question: tuple[int, Listed, int, int, int]) -> None:
    n, listed, source, target, k = question
    found = cheapest_paths(arcs(n, listed), source, target, k)
    expected = by_networkx(n, listed, source, target, k)
    assert [cost for cost, _ in found] == pytest.approx([cost for cost, _ in expected])
    cheapest: dict[tuple[int, int], float] = {}
    for tail, head, cost in listed:
        cheapest[tail, head] = min(cost, cheapest.get((tail, head), np.inf))
    for cost, path in found:
        assert (path[0], path[-1]) == (source, target)
        assert len(set(path)) == len(path)
        assert cost == pytest.approx(sum(cheapest[step] for step in pairwise(path)))
    assert len({path for _, path in found}) == len(found)


def test_a_larger_random_graph_and_ties() -> None:
    rng = np.random.default_rng(7)
    listed = [
        (int(a), int(b), float(c))
        for a, b, c in zip(*rng.integers(0, 300, (2, 1500)), rng.integers(1, 4, 1500), strict=True)
    ]
    made = arcs(300, listed)
    for source, target in rng.choice(300, (10, 2), replace=False):
        found = cheapest_paths(made, int(source), int(target), 15)
        expected = by_networkx(300, listed, int(source), int(target), 15)
        assert [cost for cost, _ in found] == pytest.approx([cost for cost, _ in expected])


def test_cheapest_of_parallel_arcs_is_named_and_equal_costs_have_an_order() -> None:
    made = arcs(4, [(0, 1, 2.0), (0, 1, 1.0), (1, 3, 1.0), (0, 2, 1.0), (2, 3, 1.0), (3, 3, 0.1)])
    assert made.arc(0, 1) == 1
    assert cheapest_paths(made, 0, 3, 5) == [(2.0, (0, 1, 3)), (2.0, (0, 2, 3))]


def test_no_arcs_and_no_way() -> None:
    assert cheapest_paths(arcs(3, []), 0, 2, 3) == []
    assert cheapest_paths(arcs(3, [(2, 0, 1.0)]), 0, 2, 3) == []
