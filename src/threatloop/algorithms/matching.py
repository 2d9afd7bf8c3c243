"""How much less a model must learn to be right exactly as often as another. Pure search; what it costs is a training
for every trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from threatloop.core.errors import NotAssessable

PARTS: Final = 200
"""Half a point is 1/200. Below 200 records no other count lies so near, so that counts must be the same."""
GENTLEST: Final = 1 / 256
MOST_GENTLE: Final = 8
SHORTER: Final = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Shares of the epochs that are tried where the other model is right more often than this one in full."""


@dataclass(frozen=True)
class Effort:
    """How much is learned.

    Attributes:
        epochs: passes over the records, ≥ 1.
        rate: of the learning rate, in (0, 1].
    """

    epochs: int
    rate: float = 1.0


def matches(right: int, wanted: int, n: int) -> bool:
    """Whether two counts of right answers among n lie within half a point of each other; the same counts always do."""
    return abs(right - wanted) * PARTS <= n


@dataclass
class Search:
    """Finds an effort.

    Every record is seen equally often whatever the effort is, at least once: what was trained on stays the same, and
    no record is seen more than another. So first the training is stopped after fewer epochs, with a schedule of its
    own; where neighbouring numbers of epochs lie on both sides, the larger one is trained with smaller steps.

    Attributes:
        trial: trains by an effort, and returns how many answers are right.
        wanted: right answers of the other model.
        n: records that are answered.
        epochs: of the full training.
        seen: what came of each trial.
    """

    trial: Callable[[Effort], int]
    wanted: int
    n: int
    epochs: int
    seen: dict[Effort, int] = field(default_factory=dict)

    def found(self, full: int) -> Effort:
        """The first effort that matches; it is the last that was tried.

        Args:
            full: right answers at full effort, which is not tried again.

        Raises:
            NotAssessable: none does.
        """
        if matches(full, self.wanted, self.n):
            return Effort(self.epochs)
        found = self._shorter() if full < self.wanted else self._stopped()
        if found is not None:
            return found
        raise NotAssessable(self._why(full))

    def _shorter(self) -> Effort | None:
        """A model that learns its records by heart may do better in fewer epochs."""
        numbers = dict.fromkeys(max(1, round(share * self.epochs)) for share in SHORTER)
        return next((one for n in numbers if n < self.epochs and self._match(one := Effort(n))), None)

    def _stopped(self) -> Effort | None:
        low, high = 0, self.epochs
        while high - low > 1:
            # Most is learned in the first epochs.
            middle = min(max(round(sqrt(max(low, 0.5) * high)), low + 1), high - 1)
            if self._match(Effort(middle)):
                return Effort(middle)
            low, high = (low, middle) if self.seen[Effort(middle)] > self.wanted else (middle, high)
        return self._gentler(high)

    def _gentler(self, epochs: int) -> Effort | None:
        low, high = GENTLEST, 1.0
        for _ in range(MOST_GENTLE):
            effort = Effort(epochs, sqrt(low * high))
            if self._match(effort):
                return effort
            low, high = (low, effort.rate) if self.seen[effort] > self.wanted else (effort.rate, high)
        return None

    def _match(self, effort: Effort) -> bool:
        self.seen[effort] = self.trial(effort)
        return matches(self.seen[effort], self.wanted, self.n)

    def _why(self, full: int) -> str:
        wanted, honest = self.wanted / self.n, full / self.n
        if full < self.wanted:
            return (
                f"clean accuracy is higher with A ({wanted:.3f}) than without ({honest:.3f}): no shrinking gets there"
            )
        nearest = min(self.seen.values(), key=lambda right: abs(right - self.wanted), default=full) / self.n
        return (
            f"no shrinking of the honest training ({honest:.3f}) comes within half a point of the clean accuracy "
            f"with A ({wanted:.3f}); the nearest of {len(self.seen)} has {nearest:.3f}"
        )
