"""``threatloop threats rank``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import as_json, opened
from threatloop.cli.threat_words import count, table

if TYPE_CHECKING:
    from threatloop.threats.severity.ranking import Ranking


def run(most: int, graph: Path | None, json: bool) -> int:
    """Print the vulnerabilities and the dependencies, the worst first."""
    from threatloop.report.machine import plain
    from threatloop.threats.severity.ranking import rank

    found = rank(opened(graph))
    if json:
        return as_json(plain(found))
    _tell(found, most)
    return 0


def _tell(found: Ranking, most: int) -> None:
    out = console()
    out.print(escape(f"ranked by {found.basis}" + (f", because {found.because}" if found.because else "")))
    first = table("vulnerabilities", "", "id", "packages", "reaches", "factors", right=("", "reaches"))
    for one in found.vulnerabilities[:most]:
        factors = ", ".join(factor.name for factor in one.factors)
        packages = ", ".join(one.packages)
        first.add_row(str(one.place), escape(one.id), escape(packages), f"{one.reach:,}", escape(factors))
    second = table("dependencies", "", "name", "vulnerabilities", "reaches", right=("", "vulnerabilities", "reaches"))
    for each in found.dependencies[:most]:
        second.add_row(str(each.place), escape(each.name), f"{each.vulnerabilities:,}", f"{each.reach:,}")
    for listed, n in ((first, len(found.vulnerabilities)), (second, len(found.dependencies))):
        out.print(listed)
        if n > most:
            out.print(f"… and {count(n - most, 'row')} more; --json lists them all", style="dim")
