"""The k cheapest loopless paths of a large directed graph.

Yen 1971, "Finding the k shortest loopless paths in a network", Management Science 17(11), with the partition of Lawler
1972 (Management Science 18(7)): a path is only varied behind the place where it left its own origin. The exact costs to
the target, from one search backwards, guide every further search (Hart, Nilsson, Raphael 1968), which therefore looks
at a few nodes where Dijkstra would look at all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_SLACK: Final = 1e-9


class Arcs:
    """Directed arcs between the nodes 0 … n − 1, of parallel ones the cheapest.

    Args:
        n: nodes.
        tails, heads: shape (m,), where each arc starts and ends; loops at one node are dropped.
        costs: shape (m,), above zero.

    Attributes:
        number: shape (arcs left,), which of the m given arcs each one is.
    """

    def __init__(self, n: int, tails: Ints, heads: Ints, costs: Floats) -> None:
        order = np.lexsort((np.arange(len(costs)), costs, heads, tails))
        order = order[tails[order] != heads[order]]
        pairs = tails[order] * n + heads[order]
        self.number: Ints = order[np.concatenate(([True], pairs[1:] != pairs[:-1]))[: len(order)]]
        self.n = n
        self._tails, self._heads, self._costs = tails[self.number], heads[self.number], costs[self.number]
        self._starts = np.searchsorted(self._tails, np.arange(n + 1))

    def leaving(self, node: int) -> list[tuple[int, float]]:
        """The neighbours that arcs from a node lead to, with their costs."""
        start, end = self._starts[node], self._starts[node + 1]
        return list(zip(self._heads[start:end].tolist(), self._costs[start:end].tolist(), strict=True))

    def arc(self, tail: int, head: int) -> int:
        """Which of the given arcs the cheapest one from ``tail`` to ``head`` is."""
        start, end = self._starts[tail], self._starts[tail + 1]
        return int(self.number[start + np.searchsorted(self._heads[start:end], head)])

    def costs_to(self, target: int) -> Floats:
        """Shape (n,): the least cost from every node to the target, infinite where there is no path.

        Bellman and Ford's method over whole arrays, looking again only at what leads to a node that got cheaper: in
        graphs of few steps from end to end it is done before a library with Dijkstra's has been imported.
        """
        costs = np.full(self.n, np.inf)
        costs[target] = 0.0
        cheaper = np.array([target], dtype=np.int64)
        while len(cheaper):
            arcs = self._leading_to(cheaper)
            tails, reckoned = self._tails[arcs], self._costs[arcs] + costs[self._heads[arcs]]
            better = reckoned < costs[tails]
            np.minimum.at(costs, tails[better], reckoned[better])
            cheaper = np.unique(tails[better])
        return costs

    def _leading_to(self, nodes: Ints) -> Ints:
        """The arcs to any of these nodes."""
        order, starts = self._by_head
        counts = starts[nodes + 1] - starts[nodes]
        before = np.cumsum(counts) - counts
        found: Ints = order[np.repeat(starts[nodes] - before, counts) + np.arange(counts.sum())]
        return found

    @cached_property
    def _by_head(self) -> tuple[Ints, Ints]:
        """The arcs in the order of their heads, and where those of each head start."""
        order = np.argsort(self._heads, kind="stable")
        return order, np.searchsorted(self._heads[order], np.arange(self.n + 1))


@dataclass(order=True)
class _Route:
    """A path; ``left`` is the place at which it left the one that it varies."""

    cost: float
    nodes: tuple[int, ...]
    left: int = field(compare=False)


def cheapest_paths(arcs: Arcs, source: int, target: int, k: int) -> list[tuple[float, tuple[int, ...]]]:
    """Up to ``k`` loopless paths with their costs, the cheapest first; equal costs in the order of their nodes.

    Args:
        source, target: two different nodes.
        k: at least 1.
    """
    search = _Search(arcs, target)
    first = search.cheapest((source,), 0.0, ())
    found: list[_Route] = []
    waiting = [] if first is None else [_Route(*first, 0)]
    while waiting:
        best = heapq.heappop(waiting)
        found.append(best)
        if len(found) == k:
            break
        for route in _variants(search, best, found, waiting, k - len(found)):
            heapq.heappush(waiting, route)
    return [(one.cost, one.nodes) for one in found]


def _variants(
    search: _Search, best: _Route, found: Sequence[_Route], waiting: Sequence[_Route], wanted: int
) -> list[_Route]:
    """For every place at which ``best`` can be left the cheapest path that does, unless enough are cheaper."""
    new: list[_Route] = []
    costs = search.costs_along(best.nodes)
    for place in range(best.left, len(best.nodes) - 1):
        root = best.nodes[: place + 1]
        taken = {one.nodes[place + 1] for one in found if one.nodes[: place + 1] == root}
        known = heapq.nsmallest(wanted, [one.cost for one in (*waiting, *new)])
        most = known[-1] if len(known) == wanted else float("inf")
        variant = search.cheapest(root, costs[place], taken, most)
        if variant is not None:
            new.append(_Route(*variant, place))
    return new


class _Search:
    """Cheapest ways to one target."""

    def __init__(self, arcs: Arcs, target: int) -> None:
        self._arcs, self._target = arcs, target
        self._rest: list[float] = arcs.costs_to(target).tolist()

    def costs_along(self, nodes: Sequence[int]) -> list[float]:
        """The cost from the first node to each."""
        costs = [0.0]
        for tail, head in pairwise(nodes):
            costs.append(costs[-1] + dict(self._arcs.leaving(tail))[head])
        return costs

    def cheapest(
        self, root: tuple[int, ...], spent: float, taken: Collection[int], most: float = float("inf")
    ) -> tuple[float, tuple[int, ...]] | None:
        """The cheapest path that begins with ``root``, whose cost is ``spent``, and goes on to none of ``taken``.

        Nothing where there is none, or none of at most ``most``.
        """
        start, rest = root[-1], self._rest
        best, before, done = {start: spent}, dict[int, int](), set(root[:-1])
        queue = [(spent + rest[start], start)]
        while queue:
            reckoned, node = heapq.heappop(queue)
            if node == self._target:
                return best[node], root[:-1] + _back(before, start, node)
            if node in done:
                continue
            done.add(node)
            for head, cost in self._arcs.leaving(node):
                total = best[node] + cost
                if head in done or (node == start and head in taken) or total >= best.get(head, float("inf")):
                    continue
                reckoned = total + rest[head]
                if reckoned <= most + _SLACK and rest[head] < float("inf"):
                    best[head], before[head] = total, node
                    heapq.heappush(queue, (reckoned, head))
        return None


def _back(before: dict[int, int], start: int, end: int) -> tuple[int, ...]:
    way = [end]
    while way[-1] != start:
        way.append(before[way[-1]])
    return tuple(reversed(way))
