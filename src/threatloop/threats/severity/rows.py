"""Vulnerabilities as rows of features, with the label and the group of each kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.corpus_record import WORDS, severity_word
from threatloop.threats.ontology import Kind, Node
from threatloop.threats.severity.network import packages_of
from threatloop.threats.severity.structure import Structure, structure
from threatloop.threats.severity.wording import without_severity

UNLABELLED = -1
LABELS = ("severity", "rating")
"""Attributes of a node that may hold its severity as a word, the first that does counts."""


@dataclass(frozen=True)
class Features:
    """All that a ranker sees. No CVSS score, vector or severity word is among it.

    Attributes:
        ids: of the vulnerabilities.
        texts: their descriptions without the phrases that tell a severity.
        cwes: their weakness classes.
        structure: of the graph around them.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    cwes: tuple[tuple[str, ...], ...]
    structure: Structure

    def __len__(self) -> int:
        return len(self.ids)


def features(graph: ThreatGraph, streams: Streams) -> Features:
    """Features of every vulnerability of the graph, in its order; stubs, of which only the id is known, are left out.

    Raises:
        InputError: networkx is not installed.
    """
    nodes = [node for node in graph.nodes(Kind.VULNERABILITY) if not node.attributes.get("stub")]
    ids = tuple(node.id for node in nodes)
    cwes = tuple(_cwes(node) for node in nodes)
    texts = tuple(without_severity(_text(node)) for node in nodes)
    return Features(ids, texts, cwes, structure(graph, ids, cwes, streams))


def levels(graph: ThreatGraph, ids: Sequence[str]) -> NDArray[np.int64]:
    """The label of each: 0 for low to 3 for critical, `UNLABELLED` where the graph has no severity as a word."""
    return np.array([_level(graph.node(id_)) for id_ in ids], dtype=np.int64)


def groups(graph: ThreatGraph, ids: Sequence[str]) -> NDArray[np.int64]:
    """Number of the group of each: two that share a dependency, directly or through others, are in one.

    Those without a known dependency may share one that nobody wrote down, so they are one group.
    """
    above: dict[str, str] = {}

    def root(name: str) -> str:
        above.setdefault(name, name)
        while above[name] != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    first = []
    for id_ in ids:
        packages = packages_of(graph, id_) or ("",)
        for package in packages:
            above[root(package)] = root(packages[0])
        first.append(packages[0])
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(one), len(numbers)) for one in first], dtype=np.int64)


def _level(node: Node) -> int:
    for name in LABELS:
        word = severity_word(node.attributes.get(name))
        if isinstance(word, str) and word in WORDS:
            return WORDS.index(word)
    return UNLABELLED


def _text(node: Node) -> str:
    return node.text if node.name in (node.id, "") else f"{node.name}. {node.text}"


def _cwes(node: Node) -> tuple[str, ...]:
    value = node.attributes.get("cwe", ())
    return tuple(sorted(set(value))) if isinstance(value, tuple) else (str(value),)
