"""A bound on how much a client may ask."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Monitor
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond


class QueryBudget(Monitor):
    """Flags a client who asks more than benign clients do.

    The budget is the volume that a share ``rate`` of benign clients exceeds at most: of the ``volumes`` that were
    observed where the model is served, or, without such, of a log-normal distribution of which nothing is known but the
    ``median`` and the ``spread`` stated here. Nothing about the queries themselves counts; who asks little, or under
    many names, is not seen.

    The measure is common practice (MITRE ATLAS AML.M0004); that theft grows with the queries: Tramer, Zhang, Juels,
    Reiter, Ristenpart 2016, "Stealing Machine Learning Models via Prediction APIs", arXiv 1609.02943, section 4.

    Attributes:
        rate: share of benign clients that may be flagged, in (0, .5].
        volumes: queries of benign clients, one number each, ≥ 1.
        median: queries of a usual benign client, ≥ 1, where no volumes are given.
        spread: standard deviation of the logarithm of their volumes, > 0, where no volumes are given.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Query budget per client",
        stage=Stage.MONITOR,
        modalities=frozenset({"image", "tabular", "text"}),
        paper="Tramer, Zhang, Juels, Reiter, Ristenpart 2016, Stealing Machine Learning Models via Prediction APIs, "
        "arXiv 1609.02943, section 4; MITRE ATLAS AML.M0004",
        atlas=("AML.M0004",),
    )

    rate: float = Field(default=0.01, gt=0, le=0.5)
    volumes: tuple[Annotated[int, Field(ge=1)], ...] = ()
    median: float = Field(default=100, ge=1)
    spread: float = Field(default=1.0, gt=0)

    @property
    def budget(self) -> int:
        """Queries that are allowed."""
        if self.volumes:
            allowed = int(self.rate * len(self.volumes))
            return sorted(self.volumes, reverse=True)[allowed]
        from scipy.special import ndtri

        return int(self.median * np.exp(self.spread * ndtri(1 - self.rate)))

    def flagged_after(
        self,
        queries: npt.NDArray[Any],
        respond: Respond,  # noqa: ARG002
        own: Dataset,  # noqa: ARG002
        streams: Streams,  # noqa: ARG002
    ) -> int | None:
        """The first query beyond the budget."""
        budget = self.budget
        return budget + 1 if len(queries) > budget else None

    def usual(self, n: int, rng: np.random.Generator) -> int:  # noqa: ARG002
        """A benign client's volume, which has nothing to do with an attacker's."""
        if self.volumes:
            return int(rng.choice(np.array(self.volumes)))
        return max(1, int(self.median * np.exp(self.spread * rng.standard_normal())))
