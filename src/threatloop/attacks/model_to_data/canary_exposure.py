"""Exposure of canaries: how much more likely planted secrets are to a model than others."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.canary_losses import losses
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.data.canaries import canaries_in


class CanaryExposure(Probe[Service]):
    """Asks how likely the model finds each canary's secret, and other canaries' secrets in its place.

    Threat model: an auditor with the model's log-probabilities, who is not told which canaries were planted.

    Returns arrays of one length: ``canary`` and ``secret``, positions among the candidates of the canary that was asked
    about and of the one whose secret stood in it, and ``loss``, float64, in nats. One query each: ``references`` + 1
    per canary, in random order of canaries. The judge knows which were planted, and ranks against the others alone.

    Carlini, Liu, Erlingsson, Kos, Song 2019, "The Secret Sharer", arXiv 1802.08232, section 4.

    Attributes:
        references: other canaries' secrets that are tried in each, at most; about half of them were never planted.

    Raises:
        NotAssessable: no canaries were planted, or the budget does not suffice for one query.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Canary exposure",
        direction=Direction.MODEL_TO_DATA,
        knowledge="canaries, of which half were planted; log-probabilities of texts",
        modalities=frozenset({"text"}),
        metrics=("canary_exposure",),
        paper="Carlini, Liu, Erlingsson, Kos, Song 2019, The Secret Sharer, arXiv 1802.08232, section 4",
        baseline="reference_exposure",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.PARTIAL}),
        atlas=("AML.T0024",),
    )

    references: int = Field(default=64, ge=8)

    def hidden(self, data: Dataset) -> Dataset:
        """The canaries, whole."""
        return canaries_in(data)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """All pairs of twenty canaries."""
        return {"scoring_passes": 20.0 * (1 + min(self.references, 19))}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The losses."""
        rng = bench.streams.numpy("pairs")
        return losses(source, bench.data(Resource.PARTIAL), self.references, rng, bench.progress.keep)
