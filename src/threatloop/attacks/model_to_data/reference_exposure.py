"""The baseline of canary exposure: a model that never saw the canaries."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from threatloop.algorithms.canary_losses import losses
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction
from threatloop.data.canaries import canaries_in


class ReferenceExposure(Probe[Service]):
    """The same question to the model from which the victim was tuned, or to one trained on the attacker's pool.

    Returns what the attack would. No queries of the victim.

    Attributes:
        references: other canaries' secrets that are tried in each, at most.

    Raises:
        NotAssessable: no canaries were planted.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Canary exposure in the model from before the tuning",
        direction=Direction.MODEL_TO_DATA,
        knowledge="canaries, of which half were planted; the model from which the victim was tuned",
        modalities=frozenset({"text"}),
        metrics=("canary_exposure",),
        paper="chance; no paper",
        baseline="reference_exposure",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.PARTIAL, Resource.REFERENCE}),
    )

    references: int = Field(default=64, ge=8)

    def hidden(self, data: Dataset) -> Dataset:
        """The canaries, whole."""
        return canaries_in(data)

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The losses."""
        other: Any = bench.resource(Resource.REFERENCE)
        rng = bench.streams.numpy("pairs")
        return losses(other, bench.data(Resource.PARTIAL), self.references, rng, lambda _: None)
