"""``threatloop threats rank``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from threatloop.cli.console import console
from threatloop.core.errors import InputError

if TYPE_CHECKING:
    from threatloop.threats.graph import ThreatGraph
    from threatloop.threats.severity.concentration import Concentration
    from threatloop.threats.severity.ranking import Ranking
    from threatloop.threats.severity.report import RankReport
    from threatloop.threats.severity.scoring import Factor

WHY = 4
"""Factors that a row of a table has room for."""
HEADINGS = {
    "fitted": "predicted severity, learned from text, CWE and place in the graph; no CVSS score is among them",
    "structural": "place in the graph alone, which was fitted to no severity",
}


@dataclass(frozen=True)
class Request:
    """What the user asked for on the command line; a corpus, a graph file, or both."""

    corpus: Path | None
    graph: Path | None
    json: bool
    top: int = 10
    seed: int = 0


def run(request: Request) -> int:
    """Print what ranks highest and why, how concentrated it is and how fast patches spread."""
    from threatloop.threats.severity.report import as_json, report

    if request.top < 1:
        raise InputError(f"top {request.top}: how many places to show; at least 1")
    graph, skipped = load(request)
    found = report(graph, skipped, request.seed, request.top)
    if request.json:
        print(as_json(found))
    else:
        tell(found, request.top)
    return 0


def load(request: Request) -> tuple[ThreatGraph, tuple[str, ...]]:
    """The graph that is ranked, and what was not read.

    Raises:
        InputError: neither a corpus nor a graph is named, or one cannot be read.
    """
    from threatloop.threats.graph import ThreatGraph

    if request.corpus is None and request.graph is None:
        raise InputError(
            "nothing to rank: give --corpus FILE (JSON lines, as `threatloop scan --corpus` writes them), --corpus "
            "FOLDER with cve_repository.csv, or --graph FILE"
        )
    graph, skipped = ThreatGraph(), tuple[str, ...]()
    if request.graph is not None:
        from threatloop.threats.graph_file import load_graph

        graph = load_graph(request.graph)
    if request.corpus is not None:
        part, skipped = _corpus(request.corpus)
        graph.extend(part.nodes(), part.edges())
    return graph, skipped


def _corpus(path: Path) -> tuple[ThreatGraph, tuple[str, ...]]:
    if path.is_dir():
        from threatloop.threats.importers.lifecycle_study import read_study

        study = read_study(path)
        return study.graph, study.skipped
    from threatloop.threats.importers.corpus import corpus_graph, read_corpus

    return corpus_graph(read_corpus(path), path.name), ()


def tell(found: RankReport, top: int) -> None:
    """Tables and lines for people."""
    from threatloop.threats.severity.estimate import Estimate

    out = console()
    ranking = found.ranking
    out.print(Text(f"ranked by {HEADINGS[ranking.basis]}", style="bold"))
    out.print(Text(f"because {ranking.because}"))
    out.print(Text(f"Spearman's correlation with the severity: {ranking.agreement}"))
    out.print(vulnerability_table(ranking, top))
    out.print(dependency_table(ranking, top))
    if isinstance(found.concentration, str):
        out.print(Text(f"concentration: not computed, because {found.concentration}"))
    else:
        for line in concentration_lines(found.concentration):
            out.print(Text(line))
    spread = found.propagation
    out.print(Text(f"patch propagation, median days from fixed release to use: {spread.median}"))
    if isinstance(spread.median, Estimate):
        for reason, count in spread.excluded.items():
            out.print(Text(f"  left out: {count} with {reason}"))
    for line in found.skipped:
        out.print(Text(f"skipped: {line}"))


def vulnerability_table(ranking: Ranking, top: int) -> Table:
    """The first places, with what put them there."""
    shown = ranking.vulnerabilities[:top]
    table = _table(f"vulnerabilities: {len(shown)} of {len(ranking.vulnerabilities)}")
    for name in ("", "score", "repos"):
        table.add_column(name, justify="right")
    table.add_column("vulnerability", overflow="fold", max_width=24)
    table.add_column("dependency", overflow="fold", max_width=26)
    table.add_column("why", overflow="fold", ratio=1)
    for one in shown:
        packages = ", ".join(package.partition("/")[2] for package in one.packages) or "unknown"
        cells = (str(one.place), f"{one.score:.2f}", str(one.reach), one.id, packages, _why(one.factors))
        table.add_row(*map(escape, cells))
    return table


def dependency_table(ranking: Ranking, top: int) -> Table:
    """The first dependencies, with the vulnerabilities that weigh most."""
    shown = ranking.dependencies[:top]
    table = _table(f"dependencies: {len(shown)} of {len(ranking.dependencies)} with a vulnerability")
    for name in ("", "score", "vulnerabilities", "repos"):
        table.add_column(name, justify="right")
    table.add_column("dependency", overflow="fold", max_width=26)
    table.add_column("why", overflow="fold", ratio=1)
    for one in shown:
        why = ", ".join(f"{part.name} {part.share:.2f}" for part in one.factors[:3])
        cells = (str(one.place), f"{one.score:.2f}", str(one.vulnerabilities), str(one.reach), one.name, why)
        table.add_row(*map(escape, cells))
    return table


def concentration_lines(found: Concentration) -> list[str]:
    """The summary, one figure a line."""
    from threatloop.threats.severity.estimate import Estimate, Missing

    lines = [
        f"concentration over {len(found.packages)} dependencies with a vulnerability ({found.without} have none):",
        f"  share of the top fifth: {found.top_fifth}",
        f"  Gini: {found.gini}",
    ]
    if isinstance(found.gini, Estimate):
        lines.append("  these intervals are too narrow where few dependencies hold most")
    if found.unassigned:
        lines.append(f"  left out: {found.unassigned} vulnerabilities without a known dependency")
    parts = found.communities
    if isinstance(parts, Missing):
        lines.append(f"  communities: {parts}")
    else:
        lines.append(
            f"  communities: {len(parts.members)}, modularity {parts.modularity:.2f} ({parts.range[0]:.2f} to "
            f"{parts.range[1]:.2f} over {parts.runs} seeds), "
            f"adjusted Rand index between seeds {parts.stability:.2f}"
        )
    return lines


def _why(factors: tuple[Factor, ...]) -> str:
    return ", ".join(
        f"{one.name!r} in the text {one.share:+.2f}" if one.kind == "text" else f"{one.name} {one.share:+.2f}"
        for one in factors[:WHY]
    )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
