"""The interval that accompanies every number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval, ends included.

    Args:
        low: lower end, in the units of the figure.
        high: upper end, at least `low`.
        level: nominal coverage in (0, 1).
        method: how it was computed, as printed in reports.
    """

    low: float
    high: float
    level: float
    method: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def clipped(self, bounds: tuple[float, float] | None) -> Interval:
        """The same interval cut to the range that the figure can take."""
        if bounds is None:
            return self
        low, high = (min(max(end, bounds[0]), bounds[1]) for end in (self.low, self.high))
        return Interval(low, high, self.level, self.method)
