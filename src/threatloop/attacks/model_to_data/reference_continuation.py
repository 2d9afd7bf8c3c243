"""The baseline of text extraction: what a model that never saw the training data makes of the same beginnings."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from threatloop.algorithms.continuations import afforded, beginnings, continued
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction
from threatloop.data.canaries import asking, canaries_in


class ReferenceContinuation(ModelToData):
    """Lets the model from which the victim was tuned, or one trained on the attacker's pool, go on with the beginnings.

    Returns what the attack itself would, and asks the victim nothing.

    Attributes:
        prefix: share of a document that the attacker knows, in (0, 1).
        tokens: written at most, ≥ 1.
        queries: texts that are completed at most, ≥ 1.
        canaries: the canaries alone, without their secrets.

    Raises:
        NotAssessable: there is nothing to go on from.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Continuation by the model from before the tuning",
        direction=Direction.MODEL_TO_DATA,
        knowledge="the first part of candidate texts; the model from which the victim was tuned",
        modalities=frozenset({"text"}),
        metrics=("verbatim",),
        paper="what is predictable without the training data; no paper",
        baseline="reference_continuation",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.PARTIAL, Resource.REFERENCE}),
    )

    prefix: float = Field(default=0.5, gt=0, lt=1)
    tokens: int = Field(default=50, ge=1)
    characters: int = Field(default=50, ge=1)
    queries: int = Field(default=200, ge=1)
    canaries: bool = False

    def hidden(self, data: Dataset) -> Dataset:
        """What the attacker knows of the candidates."""
        return asking(canaries_in(data)) if self.canaries else beginnings(data, self.prefix)

    def recover(self, service: Service, bench: Bench) -> Dataset:  # noqa: ARG002
        """The candidates as the other model goes on with them."""
        prompts, other = bench.data(Resource.PARTIAL), bench.resource(Resource.REFERENCE)
        if not len(prompts):
            raise NotAssessable("there is nothing to go on from")
        if not self.canaries:
            prompts = afforded(prompts, self.queries, bench.streams.numpy("order"))
        reference: Any = other
        return continued(reference, prompts, self.tokens, bench.streams.numpy("rest"), lambda _: None)
