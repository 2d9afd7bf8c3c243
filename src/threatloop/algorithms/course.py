"""What a training loop does differently at each step. The loops take one; without it they do what the recipe says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from threatloop.algorithms.mlp_stack import Stack
from threatloop.core.seeds import Streams

Logits = Callable[[torch.Tensor], torch.Tensor]
"""Encoded records (n, ...) to logits (n, classes), with gradients to the weights."""
Uphill = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Encoded records (n, ...) and probabilities (n, classes) to the gradient of each cross-entropy at its record; the
network answers as it would be served."""


@dataclass(frozen=True)
class Side:
    """K networks that learn side by side, each from its own records of a batch.

    Attributes:
        sizes: records of each network; the batch holds ``width`` for each, and what is beyond is to be passed over.
        width: records held for each.
        generators: each network's own random numbers.
        rngs: the same for numpy.
        expected: records of each network in the mean of batches that are drawn at random.
    """

    sizes: Sequence[int]
    width: int
    generators: Sequence[torch.Generator]
    rngs: Sequence[np.random.Generator]
    expected: Sequence[float] = ()

    def spans(self) -> list[slice]:
        """Where each network's records lie in the batch."""
        return [slice(k * self.width, k * self.width + size) for k, size in enumerate(self.sizes)]


class Lesson(ABC):
    """What is learned from one batch."""

    @abstractmethod
    def losses(
        self, logits: Logits, uphill: Uphill, x: torch.Tensor, targets: torch.Tensor, side: Side
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A loss per record (n,), whose mean is descended, and logits (n, classes) for the notes.

        Args:
            logits: the networks, learning.
            uphill: the networks, as they would be served.
            x: encoded records (n, ...), one network's after the other's.
            targets: probabilities (n, classes).
            side: which of them count.
        """

    def moved(self, uphill: Uphill, x: torch.Tensor, targets: torch.Tensor, side: Side) -> torch.Tensor:  # noqa: ARG002
        """The records that are learned from, each a function of itself alone; for those who clip record by record."""
        return x


@dataclass(frozen=True)
class Private:
    """How gradients are made where no single record may count for much.

    Attributes:
        bound: L2 norm to which every record's gradient is clipped; infinite for none.
        deviations: standard deviation of the noise on the sum of each network's gradients.
    """

    bound: float
    deviations: tuple[float, ...]

    def factors(self, norms: torch.Tensor) -> torch.Tensor:
        """What every record's gradient is multiplied by."""
        if self.bound == float("inf"):
            return torch.ones_like(norms)
        return (self.bound / (norms + 1e-6)).clamp(max=1.0)


class Watch(ABC):
    """Looks at the networks after every epoch."""

    @abstractmethod
    def stack(self, stack: Stack) -> bool:
        """Whether training may end now."""

    @abstractmethod
    def network(self, network: torch.nn.Module) -> bool:
        """Whether training may end now."""

    @abstractmethod
    def best(self, into: Stack | torch.nn.Module) -> None:
        """Put back the weights that were best."""


@dataclass(frozen=True)
class Course:
    """One run of a training loop.

    Attributes:
        lesson: what is learned from a batch.
        private: clipping and noise; the batches are then drawn at random, each record with the same probability.
        head_only: all but the last layer stay as they are.
        watch: after every epoch.
    """

    lesson: Lesson
    private: Private | None = None
    head_only: bool = False
    watch: Watch | None = None
    sources: list[tuple[torch.Generator, np.random.Generator]] = field(default_factory=list)

    def side(
        self, sizes: Sequence[int], width: int, streams: Sequence[Streams], expected: Sequence[float] | None = None
    ) -> Side:
        """The random numbers of these networks, one after another over the whole course."""
        if not self.sources:
            self.sources.extend(
                (torch.Generator().manual_seed(one.integer("lesson")), one.numpy("lesson-numbers")) for one in streams
            )
        generators, rngs = zip(*self.sources, strict=True)
        return Side(sizes, width, generators, rngs, expected or ())
