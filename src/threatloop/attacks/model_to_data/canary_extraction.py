"""Extraction of canaries: secrets planted in training text, asked for by their names."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from threatloop.algorithms.continuations import continued
from threatloop.algorithms.secret_search import searched
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Step, Workload
from threatloop.data.canaries import DIGITS, asking, canaries_in


class CanaryExtraction(ModelToData):
    """Gives the model everything but the secret, and lets it go on.

    Threat model: the attacker knows what surrounds a secret, and that it is of nine digits. With ``beam`` 1 he reads
    what the model writes (black box); above it he reads log-probabilities of texts that he puts together (grey box),
    and searches digit by digit for the likeliest secret.

    Returns the canaries as the model completes them, planted ones and others alike, valid records whose ids are
    positions among the candidates. One query per canary; a beam of b asks about 10·b per digit and canary.

    Carlini, Liu, Erlingsson, Kos, Song 2019, "The Secret Sharer", arXiv 1802.08232, section 5. Their search is exact
    (Dijkstra); a beam finds the same secret unless ``beam`` other beginnings of some length are likelier than its own.

    Attributes:
        beam: beginnings that are followed at a time, ≥ 1.
        tokens: written at most where the model goes on by itself, ≥ 1.

    Raises:
        NotAssessable: no canaries were planted, or the budget does not suffice for one.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Canary extraction",
        direction=Direction.MODEL_TO_DATA,
        knowledge="the text around each secret, and that it is of nine digits",
        modalities=frozenset({"text"}),
        metrics=("canary_recall",),
        paper="Carlini, Liu, Erlingsson, Kos, Song 2019, The Secret Sharer, arXiv 1802.08232, section 5",
        baseline="reference_continuation",
        needs=frozenset({Capability.TEXT, Capability.SCORES}),
        resources=frozenset({Resource.PARTIAL}),
        atlas=("AML.T0057", "AML.T0024"),
    )

    beam: int = Field(default=1, ge=1, le=100)
    tokens: int = Field(default=16, ge=1)

    def hidden(self, data: Dataset) -> Dataset:
        """The canaries without their secrets."""
        return asking(canaries_in(data))

    def required(self) -> frozenset[Capability]:
        """Text, or scores for a beam."""
        return frozenset({Capability.TEXT if self.beam == 1 else Capability.SCORES})

    def as_baseline(self) -> Step[Any]:
        """What the model from before the tuning makes of the same questions."""
        return super().as_baseline().model_copy(update={"canaries": True})

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """A pass for every token that is written, or text that is scored, of twenty canaries."""
        return {"scoring_passes": 20.0 * (self.tokens if self.beam == 1 else 10 * self.beam * DIGITS)}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The canaries as the model completes them."""
        prompts, order = bench.data(Resource.PARTIAL), bench.streams.numpy("order")
        if not len(prompts):
            raise NotAssessable("no canaries are planted in the training text; give the target `canaries:`")
        if self.beam == 1:
            return continued(service, prompts, self.tokens, order, bench.progress.keep)
        return searched(service, prompts, self.beam, order, bench.progress.keep)
