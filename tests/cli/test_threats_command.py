"""``threatloop threats``: what its commands print, what they refuse, and that tables keep to 100 columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
import written_run
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_file import load_graph, save_graph
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation

ATLAS = """
id: ATLAS
version: 9.0.0
matrices:
  - tactics: [{id: AML.TA0001, name: First}]
    techniques: [{id: AML.T0001, name: Look closely, tactics: [AML.TA0001], description: Adversaries look.}]
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; returns its exit status, what it printed and what it complained of."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = tiny.command_line(monkeypatch, "threats", *arguments)
        told = capsys.readouterr()
        assert all(len(line) <= 100 for line in told.out.splitlines() if not line.startswith("{"))
        return status, told.out, told.err

    return call


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    facts: dict[str, Any] = {"direction": "M→D", "stages": ("inference",)}
    nodes = [
        Node("threat:first", Kind.THREAT, "The [b]first[/b] threat", "x " * 90, {**facts, "measured_by": ("lira",)}),
        Node("threat:second", Kind.THREAT, "The second threat", "", {**facts, "not_measurable": "because it cannot"}),
        Node("threat:third", Kind.THREAT, "The third threat", "", {**facts, "measured_by": (written_run.ATTACK,)}),
    ]
    edges = [
        Edge("threat:first", Relation.ENABLES, "threat:second", "a paper", Evidence.PUBLISHED),
        Edge("threat:second", Relation.ENABLES, "threat:third", "us", Evidence.ASSERTED),
    ]
    save_graph(ThreatGraph(nodes, edges), tmp_path / "g.parquet")
    return tmp_path / "g.parquet"


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    file = tmp_path / "ATLAS.yaml"
    file.write_text(ATLAS)
    return file


def test_show_prints_a_node_with_its_edges(run: Any, graph: Path) -> None:
    status, out, _ = run("show", "first", "--graph", graph)
    assert status == 0
    assert "The [b]first[/b] threat" in out
    assert "threat:second  The second threat  (published; a paper)" in out
    _, out, _ = run("show", "threat:second", "--graph", graph, "--json")
    found = json.loads(out)
    assert (found["id"], found["out"][0]["target"], found["into"][0]["source"]) == (
        "threat:second",
        "threat:third",
        "threat:first",
    )


def test_search_finds_words(run: Any, graph: Path, atlas: Path) -> None:
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    status, out, _ = run("search", "look", "closely", "--graph", graph, "--atlas", atlas)
    assert status == 0
    assert "AML.T0001" in out
    _, out, _ = run("search", "threat", "--graph", graph, "--json", "--most", "2")
    assert len(json.loads(out)["hits"]) == 2
    _, out, _ = run("search", "closly", "--graph", graph, "--atlas", atlas)
    assert "no node holds 'closly'; searched for 'closely'" in out
    assert "no node holds any of: quantum" in run("search", "quantum", "--graph", graph)[1]
    status, _, err = run("search", "x", "--graph", graph, "--kind", "thread")
    assert status == 2
    assert "did you mean 'threat'?" in err


def test_paths_are_printed_and_their_absence_told(run: Any, graph: Path) -> None:
    status, out, _ = run("paths", "--from", "first", "--to", "third", "--graph", graph)
    assert status == 0
    assert "plausibility 0.240" in out
    _, out, _ = run("paths", "--from", "third", "--to", "first", "--graph", graph)
    assert "no path leads from threat:third to threat:first; there is one the other way round" in out
    _, out, _ = run("paths", "--from", "first", "--to", "third", "--graph", graph, "--json")
    (path,) = json.loads(out)["paths"]
    assert path["nodes"] == ["threat:first", "threat:second", "threat:third"]
    status, _, err = run("paths", "--from", "frist", "--to", "third", "--graph", graph)
    assert status == 2
    assert "did you mean threat:first" in err


def test_coverage_names_every_state(run: Any, graph: Path, tmp_path: Path) -> None:
    folder = written_run.write(tmp_path / "run", written_run.world(), report=False)
    page = tmp_path / "coverage.html"
    status, out, _ = run("coverage", folder, "--graph", graph, "--html", page)
    assert status == 0
    for part in ("1 measured", "1 measurable", "1 not measurable", "because it cannot", "not in this run"):
        assert part in out
    columns = [line.split() for line in out.splitlines() if line.startswith(" threat ")]
    assert columns == [["threat", "attack"], ["threat", "attack", "why"], ["threat", "why"]]
    assert page.is_file()
    assert not (folder / "report.json").exists()
    _, out, _ = run("coverage", folder, "--graph", graph, "--json")
    assert json.loads(out)["counts"] == {"measured": 1, "measurable": 1, "not measurable": 1}
    status, _, err = run("coverage", tmp_path / "none", "--graph", graph)
    assert status == 2
    assert "there is no such run folder" in err


def test_import_adds_sources_and_tells_what_is_left_out(run: Any, graph: Path, atlas: Path, tmp_path: Path) -> None:
    folder = written_run.write(tmp_path / "run", written_run.world())
    bill = tmp_path / "bom.json"
    bill.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [{"name": "x", "purl": "pkg:pypi/x@1"}, 7]}))
    out = tmp_path / "out.parquet"
    status, told, err = run("import", "--graph", graph, "--atlas", atlas, "--sbom", bill, "--run", folder, "--out", out)
    assert status == 0
    assert "a component is no object" in err
    assert "no threat of the catalogue names this attack" in err
    assert str(out) in told.replace("\n", "")
    found = load_graph(out)
    assert {"AML.T0001", "package:pypi/x", "repository:bom", "threat:first"} <= {node.id for node in found.nodes()}
    assert [*found.nodes(Kind.MEASUREMENT)]
    status, told, _ = run("import", "--graph", out, "--atlas", atlas, "--out", out, "--json")
    assert json.loads(told)["nodes_added"] == 0


def test_stats_and_export(run: Any, graph: Path, tmp_path: Path) -> None:
    status, out, _ = run("stats", "--graph", graph)
    assert status == 0
    assert "3 nodes: 3 threat" in out
    assert json.loads(run("stats", "--graph", graph, "--json")[1])["nodes"] == {"threat": 3}
    status, out, _ = run("export", "--graph", graph, "--format", "graphml", "--out", tmp_path / "g.graphml")
    assert status == 0
    assert (tmp_path / "g.graphml").is_file()
    status, _, err = run("export", "--graph", graph, "--format", "xls", "--out", tmp_path / "g")
    assert status == 2
    assert "unknown format 'xls'" in err


def test_rank_needs_vulnerabilities(run: Any, graph: Path) -> None:
    pytest.importorskip("networkx", reason="networkx is not installed")
    status, _, err = run("rank", "--graph", graph)
    assert status == 2
    assert "no vulnerability" in err
    status, _, err = run("rank")
    assert "nothing to rank" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "x", "--graph", "none.parquet"], "there is no such graph file"),
        (["show", "quite-unlike-anything"], "no node 'quite-unlike-anything'"),
        (["import", "--out", "x"], "nothing to import"),
        (["import", "--atlas", "none.yaml", "--out", "x"], "there is no such file"),
        (["import", "--sbom", "a=none.json", "--out", "x"], "no such file or folder"),
        (["import", "--run", "none", "--out", "x"], "there is no such run folder"),
    ],
)
def test_bad_input_is_one_clear_line(run: Any, arguments: list[str], told: str) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert told in err
    assert err.count("\n") == 1


def test_the_shipped_catalogue_is_the_default(run: Any) -> None:
    status, out, _ = run("show", "membership-inference")
    assert status == 0
    assert "threat:membership-inference" in out
    for command in ("show", "search", "paths", "coverage", "rank", "stats", "import", "export", "ingest", "review"):
        status, out, _ = run(command, "--help")
        assert status == 0
        assert "Example" in out
