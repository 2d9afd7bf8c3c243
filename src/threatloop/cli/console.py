"""Where text for people goes: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100


def console(*, error: bool = False) -> Console:
    """A console of at most 100 columns."""
    from rich.console import Console

    made = Console(stderr=error, highlight=False, soft_wrap=False)
    if made.width > WIDTH or not made.is_terminal:
        made.width = WIDTH
    return made


def fail(message: str) -> None:
    """One clear message on standard error."""
    print(f"threatloop: {message}", file=sys.stderr)
