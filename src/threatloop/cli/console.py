"""Where text for people goes: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from threatloop.core.unseen import visible

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100


def console(*, error: bool = False) -> Console:
    """A console of at most 100 columns, to which texts of data and models cannot send commands."""
    from rich.console import Console
    from rich.segment import Segment

    class Calm(Console):
        def _render_buffer(self, buffer: Iterable[Segment]) -> str:
            return super()._render_buffer(
                one if one.control else Segment(visible(one.text), one.style) for one in buffer
            )

    made = Calm(stderr=error, highlight=False, soft_wrap=False)
    if made.width > WIDTH or not made.is_terminal:
        made.width = WIDTH
    return made


def fail(message: str) -> None:
    """One clear message on standard error."""
    print(f"threatloop: {visible(message)}", file=sys.stderr)
