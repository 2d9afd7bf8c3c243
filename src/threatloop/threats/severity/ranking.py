"""Ranks vulnerabilities and dependencies of a set of repositories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind
from threatloop.threats.severity.estimate import Figure
from threatloop.threats.severity.network import packages_of, reached
from threatloop.threats.severity.rows import features
from threatloop.threats.severity.scoring import Factor, scored

SEED = 0
EXPLAINED = 50
"""How many places of the ranking come with factors."""
MOST_FACTORS = 8


@dataclass(frozen=True)
class RankedVulnerability:
    """One place of the ranking.

    Attributes:
        score: larger is worse; on the scale of `Ranking.basis`.
        percentile: of the score among all, in (0, 1).
        reach: repositories that it reaches.
        packages: ids of those it affects.
        factors: what adds most to the score, or takes from it; empty below the places that are explained.
    """

    id: str
    place: int
    score: float
    percentile: float
    reach: int
    packages: tuple[str, ...]
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class RankedDependency:
    """One place of the ranking of dependencies.

    Attributes:
        score: its vulnerabilities' percentiles, each times the repositories that it reaches, summed: an expected number
            of repositories in trouble. Where the graph has no repositories, the sum of the percentiles.
        reach: repositories that any of its vulnerabilities reaches.
        factors: its vulnerabilities, the largest parts of the score first.
    """

    id: str
    name: str
    place: int
    score: float
    vulnerabilities: int
    reach: int
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Ranking:
    """Vulnerabilities and dependencies, the worst first.

    Attributes:
        basis: ``fitted`` where a ranker learned from labelled vulnerabilities, ``structural`` where there are too few:
            then it is the place in the graph alone, which nobody has compared with a severity.
        because: why this basis.
        labelled: vulnerabilities with a severity, of all.
        agreement: Spearman's correlation of the scores of labelled vulnerabilities, each scored by a ranker that saw
            nothing of its dependency, with their severity.
    """

    basis: str
    because: str
    labelled: int
    agreement: Figure
    vulnerabilities: tuple[RankedVulnerability, ...]
    dependencies: tuple[RankedDependency, ...]


def rank(graph: ThreatGraph, seed: int = SEED, explained: int = EXPLAINED) -> Ranking:
    """Rank by text, CWE and structure, never by CVSS: severities in the graph are labels only.

    The same graph and seed give the same ranking.

    Raises:
        InputError: the graph has no vulnerability, or networkx is not installed.
    """
    streams = Streams(seed, ("severity",))
    rows = features(graph, streams.child("features"))
    if not len(rows):
        raise InputError("the graph has no vulnerability to rank; give a corpus whose scan found some")
    found = scored(graph, rows, streams)
    percentiles = (rankdata(found.values) - 0.5) / len(found.values)
    order = np.lexsort((np.array(rows.ids), -rows.structure.reach, -found.values))
    vulnerabilities = []
    for place, row in enumerate(order, 1):
        id_ = rows.ids[row]
        factors = tuple(found.factors(int(row))[:MOST_FACTORS]) if place <= explained else ()
        reach = int(rows.structure.reach[row])
        vulnerabilities.append(
            RankedVulnerability(
                id_, place, float(found.values[row]), float(percentiles[row]), reach, packages_of(graph, id_), factors
            )
        )
    dependencies = _dependencies(graph, vulnerabilities)
    return Ranking(found.basis, found.because, found.labelled, found.agreement, tuple(vulnerabilities), dependencies)


def _dependencies(graph: ThreatGraph, ranked: Sequence[RankedVulnerability]) -> tuple[RankedDependency, ...]:
    of_package: defaultdict[str, list[RankedVulnerability]] = defaultdict(list)
    for one in ranked:
        for package in one.packages:
            of_package[package].append(one)
    counted = next(graph.nodes(Kind.REPOSITORY), None) is not None
    made = []
    for package, some in of_package.items():
        parts = [Factor("vulnerability", one.id, one.percentile * (one.reach if counted else 1)) for one in some]
        parts.sort(key=lambda one: (-one.share, one.name))
        reach = len(frozenset().union(*(reached(graph, one.id) for one in some)))
        made.append((package, sum(part.share for part in parts), len(some), reach, tuple(parts[:MOST_FACTORS])))
    made.sort(key=lambda one: (-one[1], one[0]))
    return tuple(
        RankedDependency(package, graph.node(package).name, place, score, count, reach, factors)
        for place, (package, score, count, reach, factors) in enumerate(made, 1)
    )
