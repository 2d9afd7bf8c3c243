"""``threatloop threats coverage``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import as_json, opened, read_run
from threatloop.cli.threat_words import table

if TYPE_CHECKING:
    from threatloop.threats.graph import ThreatGraph
    from threatloop.threats.queries.coverage import Coverage

MOST = 20
"""Threats of one state that are listed without ``--all``."""
COLUMNS = ("threat", "attack", "why")


def run(run: Path, html: Path | None, everything: bool, graph: Path | None, atlas: Path | None, json: bool) -> int:
    """Print the table of directions and stages, and the threats by state."""
    threats = opened(graph, atlas)
    found = of_run(threats, run)
    if html is not None:
        _write(threats, found, html)
    if json:
        return as_json(_json(found))
    from threatloop.threats.exporters.heat_map import coverage_table

    out = console()
    out.print(coverage_table(found))
    for state, n in found.counts().items():
        _list(out, found, state, n, everything)
    if found.unplaced:
        out.print(escape(f"measured, and named by no threat: {', '.join(found.unplaced)}"))
    return 0


def of_run(graph: ThreatGraph, run: Path) -> Coverage:
    """How a run covers the threats of a graph."""
    from threatloop.threats.importers.measurements import measured
    from threatloop.threats.queries.coverage import coverage

    found = measured(read_run(run))
    return coverage(graph, found.attacks, found.failed)


def _list(out: Console, found: Coverage, state: str, n: int, everything: bool) -> None:
    """Threats of one state; of the columns those that hold anything, a reason that all share in the title."""
    threats = [one for one in found.threats if one.state == state]
    if not threats:
        return
    reasons = {one.why for one in threats}
    shared = f", {reasons.pop()}" if len(threats) > 1 and len(reasons) == 1 and "" not in reasons else ""
    rows = [(one.threat.id.removeprefix("threat:"), ", ".join(one.by), "" if shared else one.why) for one in threats]
    used = [column for column in range(len(COLUMNS)) if any(row[column] for row in rows)]
    shown = table(f"{n} {state}{shared}", *(COLUMNS[column] for column in used))
    for row in rows if everything else rows[:MOST]:
        shown.add_row(*(escape(row[column]) for column in used))
    out.print(shown)
    if not everything and n > MOST:
        out.print(f"… and {n - MOST} more; --all lists them", style="dim")


def _write(graph: ThreatGraph, found: Coverage, path: Path) -> None:
    from threatloop.core.files import write_texts
    from threatloop.threats.exporters.heat_map import coverage_page

    write_texts(path.parent, {path.name: coverage_page(graph, found)})


def _json(found: Coverage) -> dict[str, Any]:
    return {
        "counts": found.counts(),
        "table": [{"direction": d, "stage": s, **counts} for (d, s), counts in found.table().items()],
        "threats": [
            {"id": one.threat.id, "state": one.state, "attacks": one.by, "why": one.why} for one in found.threats
        ],
        "unplaced": found.unplaced,
    }
