"""``threatloop threats paths``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.padding import Padding

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import as_json, edge_json, opened
from threatloop.cli.threat_words import count, evidence
from threatloop.threats.ontology import Node, Relation

if TYPE_CHECKING:
    from threatloop.threats.queries.paths import Hop
    from threatloop.threats.queries.paths import Path as Route


def run(start: str, end: str, k: int, graph: Path | None, atlas: Path | None, json: bool) -> int:
    """Print the most plausible paths."""
    from threatloop.threats.queries.columns import of_file, of_graph
    from threatloop.threats.queries.naming import resolve
    from threatloop.threats.queries.paths import PathIndex

    columns = of_graph(opened(graph, atlas)) if graph is None or atlas is not None else of_file(graph)
    source, target = (resolve(said, columns.by_id) for said in (start, end))
    index = PathIndex(columns)
    found = index.paths(source, target, k)
    back = bool(not found and index.paths(target, source, 1))
    if json:
        return as_json({"from": source, "to": target, "paths": [_json(one) for one in found], "only_back": back})
    _tell(source, target, found, back)
    return 0


def _tell(source: str, target: str, found: tuple[Route, ...], back: bool) -> None:
    out = console()
    if not found:
        hint = "; there is one the other way round" if back else ""
        out.print(escape(f"no path leads from {source} to {target}{hint}"))
        return
    out.print(escape(f"{count(len(found), 'path')} from {source} to {target}, the most plausible first"))
    for place, one in enumerate(found, 1):
        out.print(f"\n[bold]{place}[/]  plausibility {one.plausibility:.3f}")
        out.print(Padding(_named(one.hops[0].source), (0, 0, 0, 3), expand=False))
        for hop in one.hops:
            out.print(Padding(_hop(hop), (0, 0, 0, 5), expand=False))
    out.print(
        "\nPlausibility is a product over steps, by measured effect or level of evidence; it is no probability.",
        style="dim",
    )


def _hop(hop: Hop) -> str:
    relation = "is needed by" if hop.edge.relation is Relation.DEPENDS_ON else hop.edge.relation.value
    return f"{relation} {_named(hop.target)} [dim]{escape(f'({evidence(hop.edge)}; {hop.edge.provenance})')}[/]"


def _named(node: Node) -> str:
    name = f" {escape(node.name)}" if node.name not in (node.id, "") else ""
    return f"[bold]{escape(node.id)}[/]{name}"


def _json(one: Route) -> dict[str, Any]:
    hops = [
        edge_json(hop.edge) | {"from": hop.source.id, "to": hop.target.id, "plausibility": hop.plausibility}
        for hop in one.hops
    ]
    return {"plausibility": one.plausibility, "nodes": [node.id for node in one.nodes], "hops": hops}
