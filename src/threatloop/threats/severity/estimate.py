"""A figure with its interval and n, and what stands where there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """A figure that was not computed; ``because`` completes the sentence."""

    because: str

    def __str__(self) -> str:
        return f"not computed, because {self.because}"


@dataclass(frozen=True)
class Estimate:
    """A figure.

    Attributes:
        value: the point estimate.
        low, high: ends of the interval; an end that the data do not bound is infinite.
        n: independent units behind it.
        unit: what n counts.
        method: how the interval was made.
        level: nominal coverage in (0, 1).
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    method: str
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n} {self.unit})"


Figure = Estimate | Missing
