"""What evasions with gradients share: the chunks, their order and their random stream."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from threatloop.algorithms.evasion import Evasion, Trial
from threatloop.core.bench import Bench

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt

CHUNK = 256


class GradientEvasion(Evasion):
    """An evasion that reads the victim's gradients.

    Attributes:
        expectation: answers averaged per question, ≥ 1: more than 1 against a victim that answers at random (Athalye,
            Carlini, Wagner 2018, arXiv 1802.00420, section 5.3). Every answer is a query.
    """

    expectation: int = Field(default=1, ge=1)

    @abstractmethod
    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """Attack one chunk."""

    def perturb(self, trial: Trial, bench: Bench) -> None:
        """Chunk after chunk, so that a spent budget leaves those before it done."""
        import torch

        from threatloop.algorithms.hunt import Hunt
        from threatloop.models.responder import batch_size_for

        generator = torch.Generator().manual_seed(bench.streams.integer("evasion"))
        size = min(CHUNK, batch_size_for(trial.source.schema))
        for first in range(0, len(trial.origin), size):
            rows = np.arange(first, min(first + size, len(trial.origin)))
            self.hunt(Hunt(trial, rows, bench.progress, self.expectation), generator)
            bench.progress.report((rows[-1] + 1) / len(trial.origin))
