"""How nodes and edges of the threat graph are put in words for a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from threatloop.threats.ontology import Edge, Effect


def evidence(edge: Edge) -> str:
    """``measured: +0.053 AUC [0.039, 0.070], n = 12``, or the level alone."""
    return edge.evidence.value if edge.effect is None else f"{edge.evidence.value}: {effect(edge.effect)}"


def effect(found: Effect) -> str:
    """The size with its 95 % interval and the seeds behind it."""
    value, low, high = (
        f"{one:+.3f}" if abs(one) < 100 else f"{one:+,.0f}" for one in (found.value, found.low, found.high)
    )
    unit = f" {found.unit}" if found.unit else ""
    return f"{value}{unit} [{low}, {high}], n = {found.n}"


def count(n: int, what: str) -> str:
    """``1 path``, ``2,000 paths``."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the common style; the columns named in ``right`` hold numbers."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return made
