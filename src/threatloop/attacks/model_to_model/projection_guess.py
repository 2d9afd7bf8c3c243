"""What is known of a last layer without asking: nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class ProjectionGuess(Probe[Service]):
    """No width and no projection. Any guess of one recovers no more of it than a random one, which counts as 0."""

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Nothing known of the last layer",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="the vocabulary",
        modalities=frozenset({"text"}),
        metrics=("projection_recovered",),
        paper="Carlini et al. 2024, Stealing Part of a Production Language Model, arXiv 2403.06634, section 4",
        baseline="projection_guess",
        needs=frozenset[Capability](),
        sweep="queries",
    )

    queries: int = Field(default=1024, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """None."""
        return {}

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """Empty arrays."""
        empty = np.zeros((0, 0), np.float32)
        arrays: dict[str, npt.NDArray[Any]] = {"singular_values": np.zeros(0), "projection": empty, "rotated": empty}
        arrays["centre"] = np.zeros(0, np.float32)
        return Evidence(arrays, {"width": 0, "queries": 0, "prompts": 0})
