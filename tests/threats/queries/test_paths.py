"""Paths through a threat graph: what they are weighted by, which way edges are walked, and graphs read from files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from threatloop.core.errors import InputError, Problems
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_file import save_graph
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Node, Relation
from threatloop.threats.queries.columns import of_file, of_graph
from threatloop.threats.queries.paths import PathIndex
from threatloop.threats.queries.weights import plausibilities


def threats(*names: str) -> list[Node]:
    return [Node(f"threat:{name}", Kind.THREAT, name.title()) for name in names]


def enables(a: str, b: str, evidence: Evidence = Evidence.ASSERTED, *effect: float) -> Edge:
    found = Effect(effect[0], effect[1], effect[2], 12) if effect else None
    return Edge(f"threat:{a}", Relation.ENABLES, f"threat:{b}", f"{evidence} {effect}", evidence, found)


def null(a: str, b: str, verdict: str = "no effect") -> Node:
    facts: dict[str, Any] = {"verdict": verdict, "of": (f"threat:{a}",), "on": (f"threat:{b}",)}
    return Node(f"measurement:r/{a}{b}", Kind.MEASUREMENT, "null", attributes=facts)


def route(graph: ThreatGraph, k: int = 5) -> list[str]:
    found = PathIndex(of_graph(graph)).paths("threat:a", "threat:z", k)
    return ["".join(node.id[-1] for node in path.nodes) for path in found]


def test_stronger_evidence_wins_and_measured_wins_over_all() -> None:
    graph = ThreatGraph(threats(*"abcdez"))
    for middle, evidence in zip("bcde", (Evidence.ASSERTED, Evidence.PUBLISHED, Evidence.REPORTED), strict=False):
        graph.extend((), [enables("a", middle, evidence), enables(middle, "z", evidence)])
    graph.extend(
        (), [enables("a", "e", Evidence.MEASURED, 0.1, 0.01, 0.2), enables("e", "z", Evidence.MEASURED, 1, 0.9, 1.1)]
    )
    assert route(graph) == ["aez", "adz", "acz", "abz"]


@pytest.mark.parametrize("verdict", ["no effect", "weakens"])
def test_a_step_that_was_refuted_is_worse_than_one_that_nobody_measured(verdict: str) -> None:
    edges = [enables("a", "b"), enables("b", "z"), enables("a", "c"), enables("c", "z")]
    assert route(ThreatGraph(threats(*"abcz"), edges)) == ["abz", "acz"]
    assert route(ThreatGraph([*threats(*"abcz"), null("a", "b", verdict)], edges)) == ["acz", "abz"]
    unresolved = [*threats(*"abcz"), null("a", "b", "unresolved")]
    assert route(ThreatGraph(unresolved, edges)) == ["abz", "acz"]


def test_a_measured_effect_stands_beside_a_null_elsewhere() -> None:
    edges = [enables("a", "z", Evidence.ASSERTED), enables("a", "z", Evidence.MEASURED, 0.1, 0.1, 0.1)]
    (path,) = PathIndex(of_graph(ThreatGraph([*threats(*"az"), null("a", "z")], edges))).paths("threat:a", "threat:z")
    assert path.plausibility == pytest.approx(0.95)
    assert path.hops[0].edge.evidence is Evidence.MEASURED


def test_the_formula() -> None:
    edges = [
        enables("a", "b", Evidence.MEASURED, 0.2, 0.1, 0.3),
        enables("a", "c", Evidence.MEASURED, 0.2, -0.1, 0.3),
        enables("a", "d", Evidence.MEASURED, -0.2, -0.3, 0.0),
        enables("a", "e", Evidence.MEASURED),
        enables("a", "f", Evidence.REPORTED),
        enables("a", "g", Evidence.PUBLISHED),
        enables("a", "h", Evidence.EXTRACTED),
        enables("a", "i", Evidence.ASSERTED),
        enables("a", "j", Evidence.REPORTED),
        Edge("threat:a", Relation.PRECEDES, "threat:j", "order", Evidence.REPORTED),
    ]
    found = plausibilities(of_graph(ThreatGraph([*threats(*"abcdefghij"), null("a", "j")], edges)))
    assert found.tolist() == pytest.approx([0.875, 0.4, 0.1, 0.4, 0.7, 0.6, 0.5, 0.4, 0.1, 0.7])


def test_harm_spreads_from_a_package_to_what_depends_on_it() -> None:
    nodes = [
        Node("CVE-1", Kind.VULNERABILITY, "CVE-1"),
        Node("package:a", Kind.PACKAGE, "a"),
        Node("package:b", Kind.PACKAGE, "b"),
        Node("repository:r", Kind.REPOSITORY, "r"),
    ]
    edges = [
        Edge("CVE-1", Relation.AFFECTS, "package:b", "osv", Evidence.PUBLISHED),
        Edge("package:a", Relation.DEPENDS_ON, "package:b", "sbom", Evidence.PUBLISHED),
        Edge("repository:r", Relation.DEPENDS_ON, "package:a", "sbom", Evidence.PUBLISHED),
    ]
    index = PathIndex(of_graph(ThreatGraph(nodes, edges)))
    (path,) = index.paths("CVE-1", "repository:r")
    assert [node.id for node in path.nodes] == ["CVE-1", "package:b", "package:a", "repository:r"]
    assert path.hops[1].edge.source == "package:a"
    assert index.paths("repository:r", "CVE-1") == ()


def test_no_path_goes_through_a_mitigation_but_may_end_or_begin_at_one() -> None:
    nodes = [*threats(*"az"), *(Node(f"mitigation:{m}", Kind.MITIGATION, m) for m in "mn")]
    edges = [
        Edge(f"threat:{t}", Relation.MITIGATED_BY, f"mitigation:{m}", "us", Evidence.ASSERTED)
        for t, m in ("am", "an", "zn")
    ]
    edges.append(
        Edge("mitigation:m", Relation.AMPLIFIES, "threat:z", "run", Evidence.MEASURED, Effect(1, 0.9, 1.1, 12))
    )
    index = PathIndex(of_graph(ThreatGraph(nodes, edges)))
    assert index.paths("threat:a", "threat:z") == ()
    (path,) = index.paths("threat:a", "mitigation:n")
    assert [node.id for node in path.nodes] == ["threat:a", "mitigation:n"]
    (path,) = index.paths("mitigation:m", "threat:z")
    assert path.hops[0].edge.relation is Relation.AMPLIFIES


def test_cycles_end_and_paths_have_no_loops() -> None:
    names = "abcz"
    graph = ThreatGraph(threats(*names), [enables(x, y) for x in names for y in names if x != y])
    assert sorted(route(graph, 50)) == ["abcz", "abz", "acbz", "acz", "az"]


def test_questions_that_make_no_sense() -> None:
    index = PathIndex(of_graph(ThreatGraph(threats("a", "z"))))
    assert index.paths("threat:a", "threat:z") == ()
    for source, target, k, told in (
        ("threat:a", "threat:a", 5, "two different ends"),
        ("threat:a", "threat:q", 5, "no node 'threat:q'"),
        ("threat:a", "threat:z", 0, "ask for 1 to 100"),
        ("threat:a", "threat:z", 101, "ask for 1 to 100"),
    ):
        with pytest.raises(InputError, match=told):
            index.paths(source, target, k)


def mixed() -> ThreatGraph:
    nodes = [*threats(*"abcz"), null("a", "b"), Node("stage:training", Kind.STAGE, "training")]
    edges = [
        enables("a", "b"),
        enables("b", "z", Evidence.MEASURED, 0.2, 0.1, 0.3),
        enables("a", "c", Evidence.REPORTED),
        enables("c", "z", Evidence.EXTRACTED),
        Edge("threat:z", Relation.OCCURS_IN, "stage:training", "x", Evidence.ASSERTED, attributes={"why": "it does"}),
    ]
    return ThreatGraph(nodes, edges)


def test_a_file_gives_the_same_paths_without_being_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "g.parquet"
    save_graph(mixed(), file)
    monkeypatch.setattr("threatloop.threats.queries.columns.load_graph", None)
    read, made = of_file(file), of_graph(mixed())
    assert read.by_id == made.by_id
    assert PathIndex(read).paths("threat:a", "stage:training") == PathIndex(made).paths("threat:a", "stage:training")


@pytest.mark.parametrize(
    "change",
    [
        {"relation": "hates"},
        {"target": "threat:q"},
        {"evidence": "rumour"},
        {"relation": "mitigated-by"},
        {"n": 0},
        {"kind": "x"},
    ],
)
def test_a_broken_file_is_told_as_by_the_reader(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "g.parquet"
    save_graph(mixed(), file)
    table = pq.read_table(file)
    ((name, cell),) = change.items()
    cells = [cell if old is not None else None for old in table.column(name).to_pylist()]
    table = table.set_column(table.column_names.index(name), name, pa.array(cells))
    pq.write_table(table, file)
    with pytest.raises(Problems):
        of_file(file)


def test_an_empty_file_has_no_nodes(tmp_path: Path) -> None:
    save_graph(ThreatGraph(), tmp_path / "g.parquet")
    with pytest.raises(InputError, match="no node"):
        PathIndex(of_file(tmp_path / "g.parquet")).paths("a", "b")


def test_a_question_to_a_file_imports_neither_pandas_nor_scipy(tmp_path: Path) -> None:
    file = tmp_path / "g.parquet"
    save_graph(mixed(), file)
    code = (
        "import sys; from pathlib import Path\n"
        "from threatloop.threats.queries.columns import of_file\n"
        "from threatloop.threats.queries.paths import PathIndex\n"
        f"assert PathIndex(of_file(Path({str(file)!r}))).paths('threat:a', 'stage:training')\n"
        "print(sorted({'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "they take longer than the paths do"
