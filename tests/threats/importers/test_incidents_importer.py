"""Incidents in the graph: how each was labelled decides the evidence, and retracted ones are told."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.incidents import from_records, read_incidents
from threatloop.threats.ontology import Evidence, Kind, Node


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": "INC-1",
        "title": "It leaked",
        "mitre_atlas": ["AML.T0024", "AML.TA0010"],
        "cve_ids": ["CVE-2024-1234"],
        "quality_tier": "reviewed",
        **changes,
    }


def base() -> ThreatGraph:
    return ThreatGraph(
        [
            Node("AML.T0024", Kind.TECHNIQUE, "Exfiltrate"),
            Node("AML.TA0010", Kind.TACTIC, "Exfiltration"),
            Node("CVE-2024-1234", Kind.VULNERABILITY, "A known one", "with text"),
        ]
    )


def test_edges_go_to_techniques_tactics_and_vulnerabilities() -> None:
    graph = base()
    assert from_records([record()], "incidents 1").add_to(graph) == ()
    said = {(edge.relation.value, edge.target): edge.evidence for edge in graph.out("INC-1")}
    assert said == {
        ("evidence-of", "AML.T0024"): Evidence.REPORTED,
        ("uses", "AML.TA0010"): Evidence.REPORTED,
        ("exploits", "CVE-2024-1234"): Evidence.REPORTED,
    }
    assert graph.node("CVE-2024-1234").name == "A known one"


def test_labels_by_rule_are_only_asserted() -> None:
    found = from_records([record(quality_tier="auto")], "incidents 1")
    assert {edge.evidence for edge in found.edges} == {Evidence.ASSERTED}


def test_unknown_techniques_retracted_and_broken_records_are_told() -> None:
    records = [
        record(mitre_atlas=["AML.T0115.001"]),
        record(id="INC-2", status="retracted"),
        record(id="INC-3", cve_ids=["not one"]),
    ]
    graph = base()
    found = from_records(records, "incidents 1")
    assert found.left_out[0].startswith("incidents 1: record 2: cve_ids.0: ")
    assert found.left_out[1] == "incidents 1: 1 incidents left out, because they were retracted"
    assert found.add_to(graph) == ("incidents 1: 1 edge left out, because the graph has no node 'AML.T0115.001'",)
    assert "INC-2" not in graph


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_incidents", None)
    with pytest.raises(InputError, match=r"need the genai-incidents package; pip install 'threatloop\[threats\]'"):
        read_incidents()


def test_the_installed_data_set() -> None:
    pytest.importorskip("genai_incidents", reason="genai-incidents is not installed")
    found = read_incidents()
    assert sum(node.kind is Kind.INCIDENT for node in found.nodes) > 1000
    assert found.source.startswith("genai-incidents ")
