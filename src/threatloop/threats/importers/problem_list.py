"""How many problems of one file are told."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 100


def shortened(problems: Sequence[str], most: int = MOST) -> list[str]:
    """The first problems, and how many more there are."""
    more = len(problems) - most
    return [*problems[:most], f"and {more} more of the kind"] if more > 0 else list(problems)
