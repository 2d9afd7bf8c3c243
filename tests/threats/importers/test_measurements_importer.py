"""What a run measured, in the graph: verdicts become edges, means do not, and a broken run folder is one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import written_run
from threatloop.core.errors import InputError, Problems
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.measurements import from_run, measured
from threatloop.threats.importers.run_schema import read_run
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation
from threatloop.threats.queries.weights import refuted_pairs

THREATS = {written_run.ATTACK: ("threat:inference",), written_run.FIRST: ("threat:poisoning",)}


def threats_of(attack: str) -> tuple[str, ...]:
    return THREATS.get(attack, ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_run.write(tmp_path_factory.mktemp("run") / "run", written_run.world())


def imported(folder: Path) -> ThreatGraph:
    graph = ThreatGraph(Node(ids[0], Kind.THREAT, ids[0]) for ids in THREATS.values())
    assert from_run(read_run(folder), threats_of).add_to(graph) == ()
    return graph


def between(graph: ThreatGraph, source: str, target: str) -> dict[str, Edge]:
    return {edge.relation.value: edge for edge in graph.out(source) if edge.target == target}


def test_attacks_that_help_others_become_measured_edges(folder: Path) -> None:
    said = between(imported(folder), "threat:poisoning", "threat:inference")
    assert set(said) == {"amplifies", "enables"}
    for edge in said.values():
        assert edge.evidence is Evidence.MEASURED
        assert edge.effect is not None
        assert edge.effect.n == 14
        assert 0 < edge.effect.low < edge.effect.value < edge.effect.high
        assert edge.provenance.startswith("run r: digits/")


def test_defences_amplify_or_mitigate_and_those_without_effect_do_neither(folder: Path) -> None:
    graph = imported(folder)
    assert set(between(graph, "mitigation:help", "threat:inference")) == {"amplifies"}
    (edge,) = graph.out("threat:inference", Relation.MITIGATED_BY)
    assert edge.target == "mitigation:shield"
    assert edge.effect is not None
    assert edge.effect.low > 0
    assert not graph.out("mitigation:null")


def test_no_effect_is_kept_as_verdict_and_refutes_the_pair(folder: Path) -> None:
    graph = imported(folder)
    cells = [node for node in graph.nodes(Kind.MEASUREMENT) if node.attributes.get("verdict") == "no effect"]
    assert cells
    assert refuted_pairs(cells) == {("threat:poisoning", "threat:inference")}
    for cell in cells:
        assert {edge.relation for edge in graph.out(cell.id)} == {Relation.EVIDENCE_OF}


def test_figures_become_evidence_with_value_and_seeds(folder: Path) -> None:
    graph = imported(folder)
    node = graph.node("measurement:r/digits/infer/1/success")
    assert node.attributes["figure_seeds"] == 14
    low, high = node.attributes["figure_low"], node.attributes["figure_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low < 0.5 < high
    (edge,) = graph.out(node.id)
    assert (edge.relation, edge.target) == (Relation.EVIDENCE_OF, "threat:inference")


def test_a_metric_that_falls_is_turned_so_that_help_is_positive(tmp_path: Path) -> None:
    graph = imported(written_run.write(tmp_path / "run", written_run.world(falling=True)))
    said = between(graph, "threat:poisoning", "threat:inference")
    assert set(said) == {"amplifies", "enables"}
    assert all(edge.effect is not None and edge.effect.low > 0 for edge in said.values())


def changed(folder: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the run folder with another report."""
    written_run.write(path, written_run.world(), report=False)
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (path / "report.json").write_text(json.dumps(report))
    return path


def test_suspect_cells_and_unusable_defences_claim_nothing(folder: Path, tmp_path: Path) -> None:
    def doubt(report: dict[str, Any]) -> None:
        for cell in report["interactions"]:
            cell["usable"] = cell["row"] != "shield"
            cell["suspect"] = ["loss did not fall"] if cell["row"] != "shield" else []
        report["enablements"] = []

    graph = imported(changed(folder, tmp_path / "run", doubt))
    assert {edge.relation for edge in graph.edges()} == {Relation.EVIDENCE_OF}


def test_which_attacks_have_a_figure_that_holds(folder: Path, tmp_path: Path) -> None:
    found = measured(read_run(folder))
    assert found.attacks == {written_run.ATTACK}

    def spoil(report: dict[str, Any]) -> None:
        for finding in report["findings"]:
            finding["value"] = {"mean": {"not_computed": "it was stopped"}, "interval": {"not_computed": "x"}, "n": 0}

    spoiled = measured(read_run(changed(folder, tmp_path / "run", spoil)))
    assert spoiled.attacks == frozenset()
    assert spoiled.failed[written_run.ATTACK] == "not computed, because it was stopped"


def test_attacks_without_a_threat_are_told(folder: Path) -> None:
    found = from_run(read_run(folder), lambda _: ())
    assert f"run r: {written_run.ATTACK}: no threat of the catalogue names this attack" in found.left_out
    assert not [edge for edge in found.edges if edge.source.startswith("threat:")]


def test_a_folder_without_measurements_or_report_is_one_clear_line(tmp_path: Path) -> None:
    def told(path: Path) -> str:
        with pytest.raises(InputError) as found:
            read_run(path)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "there is no such run folder" in told(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "run.json is missing" in told(tmp_path / "empty")
    run = written_run.write(tmp_path / "run", written_run.world(), report=False)
    assert "holds no report.json; `threatloop report" in told(run)
    table = pq.read_table(run / "measurements.parquet")
    pq.write_table(table.slice(0, 0), run / "measurements.parquet")
    assert "holds no measurements" in told(run)
    pq.write_table(pa.table({"a": [1]}), run / "measurements.parquet")
    assert "is damaged" in told(run)
    (run / "measurements.parquet").write_bytes(b"PAR1 no")
    assert "is damaged" in told(run)
    (run / "measurements.parquet").unlink()
    assert "measurements.parquet is missing" in told(run)


def test_newer_other_and_broken_reports(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of version 2, written by a newer"):
        read_run(changed(folder, tmp_path / "newer", lambda report: report.update(version=2)))
    with pytest.raises(InputError, match=r"run\.json is of run r, and other files of q"):
        read_run(changed(folder, tmp_path / "other", lambda report: report.update(run="q")))
    with pytest.raises(Problems) as found:
        read_run(changed(folder, tmp_path / "broken", lambda report: report.update(findings=[{}], interactions=3)))
    assert len(found.value.problems) > 5
