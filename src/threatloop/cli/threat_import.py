"""``threatloop threats import``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from threatloop.cli.console import console
from threatloop.cli.threat_graphs import add_atlas, as_json, opened, read_run, threats_of, warn
from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph


@dataclass(frozen=True)
class Sources:
    """What is to be added, in this order."""

    atlas: Path | None
    osv: tuple[Path, ...]
    sbom: tuple[str, ...]
    corpus: tuple[Path, ...]
    incidents: bool
    runs: tuple[Path, ...]


def run(sources: Sources, graph: Path | None, out: Path, json: bool) -> int:
    """Add the sources, write the file, and tell what came in and what did not."""
    from threatloop.threats.graph_file import save_graph

    if sources == Sources(None, (), (), (), False, ()):
        raise InputError("nothing to import; give --atlas, --osv, --sbom, --corpus, --incidents or --run")
    found = opened(graph)
    before = _size(found)
    left_out = [*_added(found, sources)]
    save_graph(found, out)
    nodes, edges = (after - old for after, old in zip(_size(found), before, strict=True))
    if json:
        return as_json({"graph": str(out), "nodes_added": nodes, "edges_added": edges, "left_out": left_out})
    warn(left_out)
    total = "{:,} nodes and {:,} edges".format(*_size(found))
    console().print(escape(f"{out}: {total}, of which {nodes:,} nodes and {edges:,} edges are new"))
    return 0


def _size(graph: ThreatGraph) -> tuple[int, int]:
    return len(graph), sum(1 for _ in graph.edges())


def _added(graph: ThreatGraph, sources: Sources) -> Iterator[str]:
    """Add everything to the graph, and yield what is left out."""
    from threatloop.supply_chain.as_graph import read_repository
    from threatloop.threats.importers.corpus import corpus_graph, read_corpus
    from threatloop.threats.importers.incidents import read_incidents
    from threatloop.threats.importers.measurements import from_run
    from threatloop.threats.importers.osv import read_osv

    if sources.atlas is not None:
        yield from add_atlas(graph, sources.atlas)
    for path in sources.corpus:
        other = corpus_graph(read_corpus(path), path.name)
        graph.extend(other.nodes(), other.edges())
    found = [*map(read_osv, sources.osv), *(read_repository(*_named(said)) for said in sources.sbom)]
    if sources.incidents:
        found.append(read_incidents())
    found += [from_run(read_run(folder), threats_of) for folder in sources.runs]
    for one in found:
        yield from one.left_out
        yield from one.add_to(graph)


def _named(said: str) -> tuple[Path, str]:
    """The path of ``[NAME=]PATH``, and the name; a path that exists as it is written has none."""
    name, found, path = said.partition("=")
    return (Path(said), "") if not found or Path(said).exists() else (Path(path), name)
