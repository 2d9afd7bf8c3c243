"""The way out: formats by name, whole files, and one clear line where it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from threatloop.core.errors import InputError
from threatloop.threats.exporters import FORMATS, export
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.queries.coverage import coverage

LIBRARIES = {"graphml": "networkx", "stix": "stix2"}


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_written_and_nothing_else(graph: ThreatGraph, tmp_path: Path, format: str) -> None:
    if format in LIBRARIES:
        pytest.importorskip(LIBRARIES[format])
    written = export(graph, format, tmp_path / "out" / "file", coverage(graph, ["lira"]))
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == sorted(written)
    assert all(path.read_text(encoding="utf-8") for path in written)
    names = [path.name for path in written]
    assert names == (["nodes.csv", "edges.csv"] if format == "csv" else ["file"])


def test_without_a_run_nothing_counts_as_measured(graph: ThreatGraph, tmp_path: Path) -> None:
    (path,) = export(graph, "navigator", tmp_path / "layer.json")
    scores = [one.get("score") for one in json.loads(path.read_text(encoding="utf-8"))["techniques"]]
    assert scores == [0, None]


def test_an_unknown_format_is_one_line(graph: ThreatGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        export(graph, "graphm", tmp_path / "x")
    assert str(caught.value) == (
        "unknown format 'graphm' (did you mean 'graphml'?); allowed: graphml, stix, navigator, html, heat-map, csv"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file_and_a_file_no_folder(graph: ThreatGraph, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match="is a folder; html is one file"):
        export(graph, "html", tmp_path)
    with pytest.raises(InputError, match="taken: cannot be written"):
        export(graph, "csv", tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize(("format", "library"), LIBRARIES.items())
def test_a_missing_library_is_named(
    graph: ThreatGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"needs {library}; pip install 'threatloop\[threats\]'"):
        export(graph, format, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
