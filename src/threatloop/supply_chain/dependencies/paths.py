"""How a package gets in: the shortest way through a lock's graph from what the project itself asks for."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from threatloop.supply_chain.dependencies.model import Dependency, Reading

MAX_SHOWN: Final = 40
"""Names of one way; of a longer one those in the middle are left out."""


def ways(edges: Iterable[tuple[str, str]], roots: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """For every name that is reached, the names from a root to it, both included; the shortest, by order of roots."""
    below: defaultdict[str, list[str]] = defaultdict(list)
    for source, to in sorted(edges):
        below[source].append(to)
    found: dict[str, tuple[str, ...]] = {root: (root,) for root in roots}
    waiting = deque(found)
    while waiting:
        name = waiting.popleft()
        for other in below[name]:
            if other not in found:
                way = (*found[name], other)
                found[other] = way if len(way) <= MAX_SHOWN else (way[0], "…", *way[3:])
                waiting.append(other)
    return found


def tops(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """The names that no other one depends on: roots where a lock does not say what was asked for."""
    needed = {to for source, to in edges if source != to}
    return [name for name in names if name not in needed]


def with_ways(reading: Reading, roots: Iterable[str] | None) -> None:
    """Give each dependency of a lock its way, from these roots, or from what nothing else in the lock needs.

    A lock without a graph tells nothing of ways, unless roots are known: then these alone have one.
    """
    names = list(dict.fromkeys(dependency.key[1] for dependency in reading.dependencies))
    known = set(names)
    starts = [root for root in (roots or ()) if root in known]
    if not starts and reading.edges:
        starts = tops(names, reading.edges)
    found = ways(reading.edges, starts)
    reading.dependencies = [_with(dependency, found) for dependency in reading.dependencies]


def _with(dependency: Dependency, found: Mapping[str, tuple[str, ...]]) -> Dependency:
    return replace(dependency, path=found.get(dependency.key[1], ()))
