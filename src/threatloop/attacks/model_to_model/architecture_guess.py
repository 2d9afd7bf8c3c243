"""The baseline of architecture inference: every candidate is as likely."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.candidates import chosen, written
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class ArchitectureGuess(Probe[Service]):
    """Gives every candidate the same probability. No queries."""

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Architecture guess without the model",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="candidate architectures",
        modalities=frozenset({"image", "tabular"}),
        metrics=("architecture_inference",),
        paper="Oh, Augustin, Schiele, Fritz 2018, arXiv 1711.01768",
        baseline="architecture_guess",
        needs=frozenset[Capability](),
        sweep="queries",
    )

    candidates: tuple[Architecture, ...] = ()
    queries: int = Field(default=500, ge=1)

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """1/candidates each."""
        candidates = chosen(self.candidates, source.schema)
        share = np.full(len(candidates), 1 / len(candidates))
        return Evidence({"probability": share}, {"candidates": written(candidates)})
