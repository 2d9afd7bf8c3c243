"""The graph, and the run folder, that a command of ``threatloop threats`` works on."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threatloop.cli.console import fail
from threatloop.threats.graph import ThreatGraph

if TYPE_CHECKING:
    from threatloop.threats.importers.run_schema import Run
    from threatloop.threats.ontology import Edge, Node

MOST_WARNINGS = 10


def opened(graph: Path | None, atlas: Path | None = None) -> ThreatGraph:
    """A graph file, or the shipped catalogue, with a release of ATLAS where one is given."""
    from threatloop.threats.graph_file import load_graph

    found = _catalogue() if graph is None else load_graph(graph)
    if atlas is not None:
        warn(add_atlas(found, atlas))
    return found


def add_atlas(graph: ThreatGraph, path: Path) -> tuple[str, ...]:
    """Add a release, and return what does not fit: ids that the graph names and the release does not have."""
    from threatloop.threats.importers.atlas import from_release, unknown_ids
    from threatloop.threats.importers.atlas_schema import read_release

    release = read_release(path)
    return (*from_release(release).add_to(graph), *unknown_ids(graph, release))


def threats_of(attack: str) -> tuple[str, ...]:
    """Ids of the threats that the catalogue says an attack measures."""
    from threatloop.threats.catalogue import by_attack

    return tuple(threat.node for threat in by_attack(attack))


def read_run(folder: Path) -> Run:
    """A run folder; where it holds no report yet, its verdicts are reached now, and nothing is written."""
    from threatloop.threats.importers import run_schema

    whole = (folder / "run.json").is_file() and not (folder / "report.json").exists()
    return run_schema.read_run(folder, _report(folder) if whole else None)


def warn(lines: Iterable[str]) -> None:
    """What was left out, on standard error."""
    listed = list(lines)
    for line in listed[:MOST_WARNINGS]:
        fail(line)
    if len(listed) > MOST_WARNINGS:
        fail(f"and {len(listed) - MOST_WARNINGS} more of the kind")


def as_json(found: Mapping[str, Any]) -> int:
    """Print one object; 0."""
    print(json_module.dumps(found, ensure_ascii=False, allow_nan=False))
    return 0


def node_json(node: Node) -> dict[str, Any]:
    return {"id": node.id, "kind": node.kind, "name": node.name, "text": node.text, "attributes": dict(node.attributes)}


def edge_json(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "relation": edge.relation,
        "target": edge.target,
        "provenance": edge.provenance,
        "evidence": edge.evidence,
        "effect": None if edge.effect is None else asdict(edge.effect),
        "attributes": dict(edge.attributes),
    }


def _catalogue() -> ThreatGraph:
    from threatloop.threats.catalogue import catalogue_graph

    return catalogue_graph()


def _report(folder: Path) -> Any:
    from threatloop.analysis.summary import summarise
    from threatloop.report.machine import as_json as report_json
    from threatloop.runs.folder import read_run_folder

    run = read_run_folder(folder)
    return json_module.loads(report_json(run.record, summarise(run.record, run.rows), (), (), {}))
