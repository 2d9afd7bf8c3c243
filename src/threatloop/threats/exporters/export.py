"""One way out of the graph for all formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from threatloop.core.catalogue import nearest
from threatloop.core.errors import InputError
from threatloop.core.files import write_texts
from threatloop.threats.exporters.graphml import graphml
from threatloop.threats.exporters.heat_map import coverage_page
from threatloop.threats.exporters.html import html
from threatloop.threats.exporters.navigator import navigator
from threatloop.threats.exporters.stix import stix
from threatloop.threats.exporters.tables import tables
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.queries.coverage import Coverage, coverage

CSV: Final = "csv"


@dataclass(frozen=True)
class _Wanted:
    graph: ThreatGraph
    coverage: Coverage
    around: Sequence[str]


_ONE_FILE: Final[Mapping[str, Callable[[_Wanted], str]]] = {
    "graphml": lambda of: graphml(of.graph),
    "stix": lambda of: stix(of.graph),
    "navigator": lambda of: navigator(of.graph, of.coverage),
    "html": lambda of: html(of.graph, of.around),
    "heat-map": lambda of: coverage_page(of.graph, of.coverage),
}
FORMATS: Final = (*_ONE_FILE, CSV)


def export(
    graph: ThreatGraph,
    format: str,
    path: Path,
    covered: Coverage | None = None,
    around: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Write the graph; what lies at the path is replaced when all is written.

    Args:
        graph: any.
        format: ``graphml``, ``stix``, ``navigator``, ``html``, ``heat-map`` or ``csv``.
        path: the file; of ``csv``, the folder for ``nodes.csv`` and ``edges.csv``.
        covered: what was measured, for ``navigator`` and ``heat-map``; without it nothing counts as measured.
        around: for ``html``, ids of nodes to draw the neighbourhood of.

    Returns:
        the files written.

    Raises:
        InputError: the format is unknown, a library is missing, there is no such node, or the path cannot be written.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}{nearest(format, FORMATS)}; allowed: {', '.join(FORMATS)}")
    if format == CSV:
        texts, folder = tables(graph), path
    else:
        if path.is_dir() or not path.name:
            raise InputError(f"{path}: is a folder; {format} is one file, so name a file in it")
        wanted = _Wanted(graph, covered or coverage(graph, ()), around)
        texts, folder = {path.name: _ONE_FILE[format](wanted)}, path.parent
    write_texts(folder, texts)
    return tuple(folder / name for name in texts)
