"""Tables for a terminal of 100 columns: findings, errors, skipped with the reason, always all three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from threatloop.supply_chain.outputs.view import Group, View, count, grouped, others, summary
from threatloop.supply_chain.result import Accepted, Finding

if TYPE_CHECKING:
    from rich.console import Console

MOST_FINDINGS: Final = 60
MOST_GROUPS: Final = 20
MOST_PLACES: Final = 4
INDENT: Final = 9
_STYLES: Final = {"critical": "bold red", "high": "red", "unknown": "magenta", "medium": "yellow", "low": "dim"}


def print_scan(out: Console, view: View, everything: bool = False) -> None:
    """Print a scan.

    Args:
        out: of at most 100 columns.
        view: what to print.
        everything: all findings and places, however many.
    """
    _findings(out, view.findings, everything)
    _reasons(out, "Errors", "nothing that was to be read failed", grouped(view.result.errors), everything)
    _reasons(out, "Skipped, with the reason", "nothing was left out", grouped(view.result.skipped), everything)
    if view.accepted:
        _accepted(out, view.accepted, everything)
    _baseline(out, view)
    if others(view):
        out.print(Text(others(view), style="dim"))
    out.print(Text(summary(view), style="bold"))


def _findings(out: Console, findings: Sequence[Finding], everything: bool) -> None:
    """Findings that say the same stand together: what it is, what to do, then each place."""
    out.print(Text(f"Findings ({len(findings):,})", style="bold underline"))
    if not findings:
        out.print("  none")
    shown = findings if everything else findings[:MOST_FINDINGS]
    for severity, title, alike in _alike(shown):
        first = alike[0]
        head = Table.grid()
        head.add_column(width=INDENT, style=_STYLES[severity])
        head.add_row(severity, Text(title, style="bold"))
        out.print(head)
        out.print(Padding(Text(_about(first), style="dim"), (0, 0, 0, INDENT)))
        for finding in alike:
            _place(out, finding)
        if first.fix:
            out.print(Padding(Text(f"→ {first.fix}"), (0, 0, 0, INDENT)))
    if len(shown) < len(findings):
        out.print(f"  … and {len(findings) - len(shown):,} more, none worse: --all prints them")


def _alike(findings: Sequence[Finding]) -> list[tuple[str, str, list[Finding]]]:
    groups: dict[tuple[int, str, str, str, str], list[Finding]] = {}
    for one in findings:
        key = (one.severity.rank, one.severity.value, one.title, one.fix, one.threat)
        groups.setdefault(key, []).append(one)
    ordered = sorted(groups.items(), key=lambda pair: pair[0][0])
    return [(severity, title, alike) for (_, severity, title, _, _), alike in ordered]


def _about(finding: Finding) -> str:
    arrow = f"{finding.direction}, " if finding.direction is not None else ""
    rule = "" if finding.threat == f"threat:{finding.rule}" else f"{finding.rule} · "
    return f"{rule}{finding.threat} · {arrow}{finding.stage}"


def _place(out: Console, finding: Finding) -> None:
    subject = "" if finding.subject and finding.subject in finding.title else finding.subject
    head = Text.assemble((str(finding.place), "cyan"), f"  {subject}" if subject else "")
    out.print(Padding(head, (0, 0, 0, INDENT)))
    for line in (*finding.detail.splitlines(), ", ".join(finding.identifiers)):
        if line:
            out.print(Padding(Text(line, style="dim"), (0, 0, 0, INDENT + 2)))


def _reasons(out: Console, title: str, none: str, groups: Sequence[Group], everything: bool) -> None:
    total = sum(len(group.places) for group in groups)
    out.print(Text(f"{title} ({total:,})", style="bold underline"))
    if not groups:
        out.print(f"  none: {none}")
    for group in groups if everything else groups[:MOST_GROUPS]:
        number = f" ({len(group.places):,})" if len(group.places) > 1 else ""
        out.print(Padding(Text(f"{group.reason}{number}"), (0, 0, 0, 2)))
        shown = group.places if everything else group.places[:MOST_PLACES]
        more = f", and {len(group.places) - len(shown):,} more" if len(shown) < len(group.places) else ""
        out.print(Padding(Text(", ".join(shown) + more, style="dim", overflow="fold"), (0, 0, 0, 4)))
    if not everything and len(groups) > MOST_GROUPS:
        rest = sum(len(group.places) for group in groups[MOST_GROUPS:])
        out.print(f"  … and {count(rest, 'place')} for {len(groups) - MOST_GROUPS} more reasons: --all prints them")


def _accepted(out: Console, accepted: Sequence[Accepted], everything: bool) -> None:
    out.print(Text(f"Accepted ({len(accepted):,})", style="bold underline"))
    for one in accepted if everything else accepted[:MOST_GROUPS]:
        until = f", until {one.expires}" if one.expires else ""
        by = f" ({one.by})" if one.by else ""
        line = f"{one.finding.severity} {one.finding.place} {one.finding.rule}: {one.reason}{by}{until}"
        out.print(Padding(Text(line), (0, 0, 0, 2)))
    if not everything and len(accepted) > MOST_GROUPS:
        out.print(f"  … and {len(accepted) - MOST_GROUPS:,} more: --all prints them")


def _baseline(out: Console, view: View) -> None:
    for entry in view.expired:
        line = (
            f"{view.baseline}:{entry.line}: expired on {entry.expires}, so it counts again: {entry.rule} {entry.where}"
        )
        out.print(f"[yellow]{escape(line)}[/]")
    for entry in view.stale:
        line = f"{view.baseline}:{entry.line}: no finding has this fingerprint any more: {entry.rule} {entry.where}"
        out.print(f"[dim]{escape(line)}[/]")
