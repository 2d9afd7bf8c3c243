"""Generated repositories, packages and vulnerabilities, whose severity follows from what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.corpus_record import WORDS
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation

FILLER = ("parser", "buffer", "request", "module", "server", "input", "header", "image", "tensor", "socket", "cache")
Severity = Callable[[int, np.random.Generator], float]
"""From the number of repositories that use the package, and noise, to a number: larger is worse."""


def planted(
    severity: Severity, seed: int, packages: int = 80, repositories: int = 60, texts: Mapping[int, str] | None = None
) -> ThreatGraph:
    """A graph in which every package has a skewed number of users and of vulnerabilities.

    Severities are the quartiles of ``severity``, as words.

    Args:
        texts: by level 0 to 3, a word that the descriptions of that level have besides random ones.
    """
    rng = Streams(seed, ("planted",)).numpy("graph")
    graph = ThreatGraph(Node(f"repository:r{k}", Kind.REPOSITORY, f"r{k}") for k in range(repositories))
    found: list[tuple[str, str, float]] = []
    for number in range(packages):
        package = f"package:pypi/p{number}"
        graph.add(Node(package, Kind.PACKAGE, f"p{number}", attributes={"ecosystem": "PyPI"}))
        users = rng.choice(repositories, size=int(rng.integers(1, repositories // 2)), replace=False)
        for user in users:
            graph.connect(_edge(f"repository:r{user}", Relation.DEPENDS_ON, package))
        for _ in range(1 + int(rng.geometric(0.25))):
            found.append((f"CVE-2024-{10000 + len(found)}", package, severity(len(users), rng)))
    values = np.array([value for _, _, value in found])
    level = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values)
    for (id_, package, _), one in zip(found, level, strict=True):
        words = [*rng.choice(FILLER, size=6), *((texts or {}).get(int(one), "").split())]
        facts: dict[str, Attribute] = {"severity": WORDS[int(one)], "cwe": (f"CWE-{rng.choice([20, 79, 89, 787])}",)}
        graph.add(Node(id_, Kind.VULNERABILITY, id_, " ".join(words), facts))
        graph.connect(_edge(id_, Relation.AFFECTS, package))
    return graph


def relabelled(graph: ThreatGraph, change: Callable[[Node], Node]) -> ThreatGraph:
    """The same graph with its vulnerabilities changed."""
    nodes = [change(node) if node.kind is Kind.VULNERABILITY else node for node in graph.nodes()]
    return ThreatGraph(nodes, graph.edges())


def _edge(source: str, relation: Relation, target: str) -> Edge:
    return Edge(source, relation, target, "generated", Evidence.PUBLISHED)
