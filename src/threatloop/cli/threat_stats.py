"""``threatloop threats stats``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import as_json, opened
from threatloop.cli.threat_words import count, table
from threatloop.core.step import Direction
from threatloop.threats.ontology import Evidence, Kind, Relation, Stage

if TYPE_CHECKING:
    from threatloop.threats.queries.stats import Stats


def run(graph: Path | None, atlas: Path | None, json: bool) -> int:
    """Print the counts."""
    from threatloop.threats.queries.stats import stats

    found = stats(opened(graph, atlas))
    if json:
        return as_json(_json(found))
    out = console()
    _nodes(out, found)
    _edges(out, found)
    _threats(out, found)
    _degrees(out, found)
    return 0


def _nodes(out: Console, found: Stats) -> None:
    parts = [f"{found.nodes[kind]:,} {kind}" for kind in Kind if found.nodes.get(kind)]
    out.print(escape(f"{sum(found.nodes.values()):,} nodes: {', '.join(parts)}"))


def _edges(out: Console, found: Stats) -> None:
    shown = table(f"{sum(found.edges.values()):,} edges by relation and evidence", "", *Evidence, right=tuple(Evidence))
    for relation in Relation:
        counts = [found.edges.get((relation, level), 0) for level in Evidence]
        if any(counts):
            shown.add_row(relation.value, *(f"{n:,}" if n else "·" for n in counts))
    out.print(shown)


def _threats(out: Console, found: Stats) -> None:
    directions = [*Direction, *sorted({d for d, _ in found.threats} - set(Direction))]
    stages = [*Stage, *sorted({stage for _, stage in found.threats} - set(Stage))]
    title = "threats by stage and direction; one in several stages counts in each"
    shown = table(title, "", *directions, right=tuple(directions))
    for stage in stages:
        counts = [found.threats.get((direction, stage), 0) for direction in directions]
        shown.add_row(escape(stage), *(str(n) if n else "·" for n in counts))
    out.print(shown)


def _degrees(out: Console, found: Stats) -> None:
    degrees = found.degrees
    if degrees.top_share is not None:
        share = f"{100 * degrees.top_share:.0f} % of all ends of edges lie at a fifth of the connected nodes"
        out.print(escape(f"{share}; {count(degrees.alone, 'node')} without any edge"))
    shown = table("most connected", "id", "name", "edges", right=("edges",))
    for node, n in degrees.hubs:
        shown.add_row(escape(node.id), escape(node.name), f"{n:,}")
    out.print(shown)


def _json(found: Stats) -> dict[str, object]:
    degrees = found.degrees
    return {
        "nodes": dict(found.nodes),
        "edges": [{"relation": r, "evidence": e, "count": n} for (r, e), n in found.edges.items()],
        "threats": [{"direction": d, "stage": s, "count": n} for (d, s), n in found.threats.items()],
        "measured_edges": found.measured_edges,
        "connected": degrees.nodes,
        "alone": degrees.alone,
        "top_fifth_share": degrees.top_share,
        "hubs": [{"id": node.id, "edges": n} for node, n in degrees.hubs],
    }
