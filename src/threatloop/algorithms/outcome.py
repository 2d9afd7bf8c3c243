"""What a training run reports, and the error of one that diverged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from threatloop.core.errors import ThreatloopError
from threatloop.core.recipe import Recipe

Report = Callable[[float], None]


class Diverged(ThreatloopError):
    """Training ran into NaN or infinite numbers."""

    def __init__(self, name: str, recipe: Recipe, epoch: int) -> None:
        super().__init__(
            f"training {name} diverged in epoch {epoch + 1} of {recipe.epochs} "
            f"({recipe.optimiser}, learning_rate {recipe.learning_rate:g}); lower recipe.learning_rate"
        )


@dataclass(frozen=True)
class Trained:
    """Figures of one training run.

    Attributes:
        loss: mean training loss over the last epoch, in nats, as the steps saw it.
        accuracy: share of right answers over the last epoch, in [0, 1], as the steps saw it (before each update).
        steps: updates made.
    """

    loss: float
    accuracy: float
    steps: int

    def notes(self, recipe: Recipe, seconds: float) -> dict[str, float | int]:
        """As a Model keeps them."""
        return {
            "train_loss": self.loss,
            "train_accuracy": self.accuracy,
            "epochs": recipe.epochs,
            "steps": self.steps,
            "seconds": seconds,
        }
