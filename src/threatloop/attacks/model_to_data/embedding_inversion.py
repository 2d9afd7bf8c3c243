"""Inversion of embeddings that lie in a retrieval store."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class EmbeddingInversion(Probe[Service]):
    """Reads words out of stolen embeddings, and changes texts until their own embeddings are the stolen ones.

    Threat model: the attacker took the vectors of a retrieval store, without its documents, may embed texts with the
    store's encoder as a black box, and holds texts of the same kind. He learns from these which words an embedding has
    and which stand together; starts from his nearest texts; and in every round puts in words that the difference of
    both embeddings asks for, leaves out those that it speaks against, moves others, embeds all, and keeps the nearest.

    Returns the arrays ``guess``, uint8 (documents, width): UTF-8 of one text each, padded with zeros; ``words``, the
    same for the likeliest words alone, in no order; and ``cosine``, float64 (documents,), of the guess with the stolen
    vector, in [−1, 1], both taken from the mean of his own texts' embeddings on, since some encoders put all texts on
    one side. At most ``queries`` embedded texts, half of them his own.

    Song, Raghunathan 2020, "Information Leakage in Embedding Models", arXiv 2004.00053, section 4 (words from
    embeddings); Morris, Kuleshov, Shmatikov, Rush 2023, "Text Embeddings Reveal (Almost) As Much As Text", arXiv
    2310.06816, section 3 (correction by embedding again). They train a transformer on millions of texts to propose the
    corrections; ours are edits of words, which need no training but more queries, and find fewer whole texts.

    Attributes:
        documents: of the store that are inverted, ≥ 1.
        rounds: of changes at most, ≥ 1.
        candidates: texts tried for each document in a round, ≥ 1.
        beam: texts that are kept of each document, ≥ 1.
        queries: texts that are embedded at most, ≥ 1.

    Raises:
        NotAssessable: the encoder cannot be had, or the budget does not suffice for one text.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Embedding inversion",
        direction=Direction.MODEL_TO_DATA,
        knowledge="vectors of a retrieval store; its encoder as a black box; texts of the same kind",
        modalities=frozenset({"text"}),
        metrics=("text_inversion",),
        paper="Song, Raghunathan 2020, Information Leakage in Embedding Models, arXiv 2004.00053, section 4; Morris, "
        "Kuleshov, Shmatikov, Rush 2023, Text Embeddings Reveal (Almost) As Much As Text, arXiv 2310.06816, section 3",
        baseline="nearest_text",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.STORE, Resource.QUERY_POOL}),
        atlas=("AML.T0024.001",),
        sweep="queries",
    )

    documents: int = Field(default=10, ge=1)
    rounds: int = Field(default=60, ge=1)
    candidates: int = Field(default=64, ge=1)
    beam: int = Field(default=4, ge=1)
    queries: int = Field(default=20_000, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """A pass over every text that is embedded."""
        return {"scoring_passes": float(self.queries)}

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The guesses."""
        import numpy as np

        from threatloop.algorithms.embedding_search import Asked, Search, begun
        from threatloop.algorithms.nearest_texts import HALF, embedded
        from threatloop.algorithms.text_edits import Neighbours
        from threatloop.algorithms.word_decoder import learned
        from threatloop.modality.conversation import rows_of

        store, rng = bench.resource(Resource.STORE), bench.streams.numpy("edits")
        corpus = embedded(store, bench.data(Resource.QUERY_POOL), bench.streams.numpy("order"), HALF)
        decoder = learned(corpus.texts, corpus.vectors)
        wanted = corpus.seen(store.vectors)
        bags = decoder.bags(wanted)
        found = begun(wanted, corpus.nearest(wanted, self.beam), corpus, decoder)

        def evidence() -> Evidence:
            cosines = np.array([one.top[1] for one in found])
            return Evidence({"guess": rows_of([one.best for one in found]), "words": rows_of(bags), "cosine": cosines})

        def keep() -> None:
            bench.progress.keep(evidence())

        keep()
        bench.progress.note("cosine_first", float(np.mean([one.top[1] for one in found])))
        ask, known = Asked(store, corpus, wanted), Neighbours(corpus.texts)
        search = Search(ask, decoder, known, self.candidates, self.beam, rng)
        search.start(found, keep)
        for number in range(self.rounds):
            if not search.round(found, keep):
                break
            bench.progress.report((number + 1) / self.rounds)
        return evidence()
