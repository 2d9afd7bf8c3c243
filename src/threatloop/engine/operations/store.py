"""A retrieval store that an attacker took: its documents, their vectors, and the encoder."""
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Mapping

from threatloop.algorithms.encoders import encoder_of
from threatloop.core.access import Ledger
from threatloop.core.retrieval import StoreDefence, VectorStore
from threatloop.engine.operations.serve import defences_of
from threatloop.engine.products import Product
from threatloop.engine.task import Task
from threatloop.modality.conversation import read, text_of
from threatloop.scenario.served import of_kind

DOCUMENTS, ENCODER = "hidden_documents", "encoder"
"""Inputs that no attack sees as they are."""


def taken(task: Task, inputs: Mapping[str, Product], ledger: Ledger) -> VectorStore:
    """The vectors of the documents as their defences store them; what is embedded later is counted by ``ledger``.

    Raises:
        NotAssessable: the encoder cannot be had.
    """
    encoder = encoder_of(task.config["store"]["encoder"], inputs[ENCODER].value, task.config["device"])
    # White space is what an encoder of words passes over.
    vectors = encoder([" ".join(text_of(record).split()) for record in read(inputs[DOCUMENTS].value.x)])
    streams = task.streams.of_seed().child("store")
    for i, defence in enumerate(of_kind(defences_of(task.config["store"]["defences"]), StoreDefence)):
        vectors = defence.stored(vectors, streams.child(f"store-{i}"))
    return VectorStore(vectors, ledger, encoder)
