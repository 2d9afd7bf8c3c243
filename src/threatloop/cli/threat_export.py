"""``threatloop threats export``."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.threat_coverage import of_run
from threatloop.cli.threat_graphs import as_json, opened


def run(
    format_: str,
    out: Path,
    run: Path | None,
    around: tuple[str, ...],
    graph: Path | None,
    atlas: Path | None,
    json: bool,
) -> int:
    """Write the files, and name them."""
    from threatloop.threats.exporters import export
    from threatloop.threats.queries.naming import resolve

    found = opened(graph, atlas)
    names = {node.id: node.name for node in found.nodes()} if around else {}
    near = tuple(resolve(said, names) for said in around)
    files = export(found, format_, out, None if run is None else of_run(found, run), near)
    if json:
        return as_json({"files": [str(file) for file in files]})
    for file in files:
        console().print(escape(str(file)))
    return 0
