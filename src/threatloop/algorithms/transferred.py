"""Adversarial examples that are worked out on one model and used against another."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import Workload

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class Transferred(GradientEvasion):
    """Climbs the loss of a stand-in for the victim with Auto-PGD.

    The climb goes on after the stand-in is fooled: what only just fools it seldom fools the victim. So every attacked
    record comes back changed, whether it fools the victim or not.

    Attributes:
        queries: records that the stand-in is trained on, ≥ 1.
        answers: it learns from class probabilities (``soft``) or the most likely class (``hard``).
        architecture: of the stand-in; None for the victim's.
        steps: of Auto-PGD on the stand-in, and least optimisation steps of its training in tens, ≥ 1.
    """

    queries: int = Field(default=1000, ge=1)
    answers: Literal["soft", "hard"] = "soft"
    architecture: Architecture | None = None
    steps: int = Field(default=100, ge=1)

    @abstractmethod
    def stand_in(self, bench: Bench) -> Service:
        """The model that is attacked in the victim's place, with full access."""

    def work(self, workload: Workload) -> dict[str, float]:
        """Training of the stand-in, and Auto-PGD on it."""
        from threatloop.algorithms.distil import enough

        epochs = enough(workload.recipe, self.queries, 10 * self.steps).epochs
        climbed = self.attacked(workload) * (self.steps + 2)
        return {"training_passes": float(self.queries * epochs + climbed), "scoring_passes": float(self.queries)}

    def unbounded(self) -> None:
        """None: what fools the stand-in need not fool the victim at any radius."""

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        """The records with the stand-in's adversarial examples in place of those that were attacked."""
        trial = self.trial(data, self.stand_in(bench))
        self.perturb(trial, bench)
        return trial.result()

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """The points of highest loss of one chunk, for records that the stand-in gets wrong as well."""
        import torch

        from threatloop.algorithms.apgd import auto_pgd
        from threatloop.algorithms.hunt import log_odds

        everyone = torch.arange(len(hunt.labels))
        hunt.begin(log_odds)
        start = hunt.ball.start(generator)
        found, margins = auto_pgd(hunt, everyone, self.steps, log_odds, start, to_the_end=True)
        hunt.trial.replace(hunt.rows, found.contiguous().numpy())
        hunt.end(margins)
