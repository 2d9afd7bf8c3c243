"""The baseline of embedding inversion: the attacker's own text that is nearest to a stolen vector."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class NearestText(Probe[Service]):
    """Looks the stolen vectors up among embeddings of own texts, and inverts nothing.

    It gets what a vector says of a text without any attempt to reconstruct it; where documents repeat each other, that
    is much. Returns ``guess`` and ``cosine`` as `embedding_inversion` does. At most ``queries`` embedded texts.

    Attributes:
        documents: of the store, ≥ 1.
        queries: own texts that are embedded at most, ≥ 1.

    Raises:
        NotAssessable: the encoder cannot be had, or there is no query.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Nearest own text",
        direction=Direction.MODEL_TO_DATA,
        knowledge="vectors of a retrieval store; its encoder as a black box; texts of the same kind",
        modalities=frozenset({"text"}),
        metrics=("text_inversion",),
        paper="Morris, Kuleshov, Shmatikov, Rush 2023, arXiv 2310.06816",
        baseline="nearest_text",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.STORE, Resource.QUERY_POOL}),
    )

    documents: int = Field(default=10, ge=1)
    queries: int = Field(default=20_000, ge=1)

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The guesses."""
        import numpy as np

        from threatloop.algorithms.nearest_texts import embedded
        from threatloop.modality.conversation import rows_of

        store = bench.resource(Resource.STORE)
        corpus = embedded(store, bench.data(Resource.QUERY_POOL), bench.streams.numpy("order"))
        wanted = corpus.seen(store.vectors)
        near = corpus.nearest(wanted, 1)[:, 0]
        cosines = np.einsum("nd,nd->n", wanted, corpus.vectors[near]).astype(np.float64)
        return Evidence({"guess": rows_of([corpus.texts[i] for i in near]), "cosine": cosines})
