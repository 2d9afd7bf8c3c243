"""All that reads documents: by the roles of a model where there is an endpoint, else by retrieval alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from threatloop.threats.evidence.by_model import Roles
from threatloop.threats.evidence.by_retrieval import propose_by_retrieval
from threatloop.threats.evidence.corpus import Corpus
from threatloop.threats.evidence.documents import Document
from threatloop.threats.evidence.duplicates import Known
from threatloop.threats.evidence.endpoint import Endpoint
from threatloop.threats.evidence.extraction import Extraction
from threatloop.threats.evidence.mapper import Mapper
from threatloop.threats.evidence.proposals import RETRIEVAL, Proposal
from threatloop.threats.evidence.signals import Embedder
from threatloop.threats.graph import ThreatGraph


@dataclass(frozen=True)
class Pipeline:
    """Made once for many documents.

    Attributes:
        mapper: retrieval over the techniques.
        known: what may say the same.
        roles: of a model; None for retrieval alone.
    """

    mapper: Mapper
    known: Known
    roles: Roles | None = None

    @property
    def by(self) -> str:
        """Who proposes."""
        return RETRIEVAL if self.roles is None else self.roles.by

    def extract(self, document: Document, advance: Callable[[int, int], None] | None = None) -> Extraction:
        """Proposals of a document; ``advance`` hears the parts that are done and all of them."""
        if self.roles is None:
            return propose_by_retrieval(document, self.mapper, self.known, advance or _quietly)
        return self.roles.propose(document, advance or _quietly)


def pipeline(
    corpus: Corpus,
    graph: ThreatGraph,
    waiting: list[Proposal],
    embedder: Embedder | None = None,
    endpoint: Endpoint | None = None,
) -> Pipeline:
    """All that reads documents, ready; learning from some hundred steps takes seconds.

    Args:
        corpus: techniques and labelled steps.
        graph, waiting: whose threats, and which proposals, new ones are compared with.
        embedder: of sentences; None for words alone.
        endpoint: of a model; None for retrieval alone.

    Raises:
        InputError: a library is not installed.
    """
    mapper, known = Mapper(corpus, embedder), Known(graph, waiting, embedder)
    return Pipeline(mapper, known, None if endpoint is None else Roles(endpoint, corpus, mapper, known))


def _quietly(done: int, total: int) -> None:
    del done, total
