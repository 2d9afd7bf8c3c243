"""The value that stands where a figure cannot be computed, so that it never reads as 0.0 or as safe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Undefined:
    """A figure that was not computed, with the reason.

    It is not a number on purpose: arithmetic and comparisons with it raise `TypeError`.

    Args:
        reason: short clause that completes "not computed, because ...".
    """

    reason: str

    def __str__(self) -> str:
        return f"not computed, because {self.reason}"

    def __bool__(self) -> bool:
        # `figure or 0.0` would turn an unknown into a zero.
        raise TypeError(f"no truth value: {self}; test with isinstance(value, Undefined)")
