"""``threatloop compare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threatloop.cli.console import console
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers

if TYPE_CHECKING:
    from threatloop.analysis.changes import Change, Reading
    from threatloop.analysis.compare import Comparison

EXIT_OK, EXIT_WORSE = 0, 3
MARKS: Mapping[Reading, str] = {
    "worse": "▲ worse",
    "better": "▼ better",
    "unchanged": "≈ unchanged",
    "identical": "= identical",
    "unresolved": "? unresolved",
    "too few seeds": "? too few seeds",
    "lost": "✗ lost",
    "new": "+ new",
}
MOST_ROWS = 60


def run(before: Path, after: Path, fail_on_worse: bool, allow_unresolved: bool, json: bool) -> int:
    """Print what changed; 3 where something got worse and that is to fail."""
    from threatloop.api import compare
    from threatloop.report.machine import comparison_json

    found = compare(before, after)
    if json:
        print(comparison_json(found))
    else:
        _tell(found, f"{before} → {after}")
    failed = fail_on_worse and found.failed(allow_unresolved)
    if failed and not found.of("worse"):
        what = "too few seeds for any verdict" if found.undecided else "figures of the first run are lost"
        console(error=True).print(f"{what}: counts as worse without --allow-unresolved")
    return EXIT_WORSE if failed else EXIT_OK


def _tell(found: Comparison, title: str) -> None:
    out = console()
    if _listed(found):
        out.print(changes_table(found, title))
    if (more := len(_listed(found)) - MOST_ROWS) > 0:
        out.print(f"… and {more} more; --json lists them all")
    times = Counter(change.reading for change in found.changes)
    counts = [f"{times[one]} {one}" for one in MARKS if times[one]]
    out.print(", ".join(counts) or "the runs share no figure")
    for remark in found.remarks:
        out.print(escape(remark))


def changes_table(found: Comparison, title: str) -> Table:
    """The figures of both runs, the worst first."""
    table = Table(
        title=escape(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("figure", overflow="fold", ratio=5)
    for column in ("first", "second"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("difference [95 %]", justify="right", overflow="fold", ratio=3)
    table.add_column("q", justify="right")
    table.add_column("reading", overflow="fold", min_width=12)
    for change in _listed(found)[:MOST_ROWS]:
        table.add_row(*(escape(text) for text in _row(change)))
    return table


def _listed(found: Comparison) -> list[Change]:
    """What has a row of its own; figures that are equal in every seed are only counted."""
    return [change for change in found.changes if change.reading != "identical"]


def _row(change: Change) -> tuple[str, ...]:
    key, effect = change.key, change.effect
    arm = "" if key.arm in ("attack", "") else f", {key.arm}"
    behind = f" behind {key.condition}" if key.condition else ""
    step = f" step {key.step}" if key.step > 1 else ""
    where = f"{key.target}/{key.scenario}{step}{behind}{arm}: {key.metric}"
    marks = [MARKS[change.reading]]
    marks += [f"gate {change.gates[0] or 'none'} → {change.gates[1] or 'none'}"] if any(change.gates) else []
    marks += ["attack suspect"] if change.suspect else []
    values = [
        "–" if isinstance(e.mean, Undefined) else numbers.mean(e, change.unit) for e in (change.before, change.after)
    ]
    if isinstance(effect, Undefined):
        return where, *values, "–", "–", "; ".join(marks)
    return where, *values, numbers.difference(effect, change.unit), numbers.probability(effect.q), "; ".join(marks)
