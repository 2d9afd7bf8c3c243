"""Fourth role, without a model: what in the graph or the queue may say the same already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import starmap

import numpy as np

from threatloop.threats.evidence.proposals import Proposal, Similar
from threatloop.threats.evidence.signals import Embedder, Texts, ready
from threatloop.threats.evidence.spans import Span
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind

ALIKE = 0.7
"""Cosine of sentence vectors from which two texts may say the same. A hint for a reviewer: it decides nothing alone."""
SHARED = 0.5
"""The same without vectors: common stems divided by all stems of both."""
MOST = 3


class Known:
    """Threats of the graph and proposals that wait, to compare with.

    Args:
        graph: whose threats count.
        proposals: with a name count, as ``proposal:ID``.
        embedder: of sentences; without one, common words decide.
    """

    def __init__(self, graph: ThreatGraph, proposals: Iterable[Proposal], embedder: Embedder | None) -> None:
        self._embedder = embedder
        texts = {node.id: f"{node.name}. {node.text}" for node in graph.nodes(Kind.THREAT)}
        texts |= {f"proposal:{one.id}": f"{one.name}. {one.summary}" for one in proposals if one.name}
        self._ids = list(texts)
        self._texts = ready(list(texts.values()), embedder) if texts else None

    def similar(self, texts: Sequence[str]) -> list[tuple[Similar, ...]]:
        """Of each text, at most three that may say the same, the most alike first."""
        if self._texts is None or not texts:
            return [() for _ in texts]
        return [self._closest(row) for row in self._alike(ready(texts, self._embedder), self._texts)]

    def _closest(self, row: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[Similar, ...]:
        least = SHARED if self._embedder is None else ALIKE
        best = [int(i) for i in np.argsort(-row, kind="stable")[:MOST] if row[i] >= least]
        return tuple(Similar(id=self._ids[i], similarity=float(np.clip(row[i], 0, 1))) for i in best)

    @staticmethod
    def _alike(texts: Texts, known: Texts) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        if texts.vectors is not None and known.vectors is not None:
            return np.asarray(texts.vectors @ known.vectors.T)
        pairs = [[(set(one), set(other)) for other in known.stems] for one in texts.stems]
        return np.array([list(starmap(_shared, row)) for row in pairs])


def distinct(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Of those that show the same technique by overlapping passages of the same document, the first."""
    kept = list[Proposal]()
    for one in proposals:
        span = Span(one.passage.start, one.passage.end)
        if not any(
            one.document.digest == other.document.digest
            and one.technique.technique == other.technique.technique
            and span.start < other.passage.end
            and other.passage.start < span.end
            for other in kept
        ):
            kept.append(one)
    return kept


def _shared(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))
