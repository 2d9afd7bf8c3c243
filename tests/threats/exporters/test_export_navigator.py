"""The ATLAS Navigator's layer: its fields, scores, colours and comments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from threatloop.threats.exporters.navigator import COLOURS, navigator
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation
from threatloop.threats.queries.coverage import State, coverage


def _layer(graph: ThreatGraph, *measured: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(navigator(graph, coverage(graph, measured)))
    return loaded


def _technique(layer: dict[str, Any], id_: str) -> dict[str, Any]:
    return next(one for one in layer["techniques"] if one["techniqueID"] == id_)


def test_the_fields_that_the_navigator_reads(graph: ThreatGraph) -> None:
    layer = _layer(graph, "lira")
    assert layer["versions"] == {"layer": "4.3", "navigator": "4.6.4"}
    assert layer["domain"] == "atlas-atlas"
    assert layer["metadata"] == [{"name": "atlas_data_version", "value": "5.6.0"}]
    assert layer["gradient"]["minValue"] == 0
    assert layer["gradient"]["maxValue"] == 100
    assert {item["color"] for item in layer["legendItems"]} == set(COLOURS.values())
    assert all(len(colour) == 7 and colour.startswith("#") for colour in COLOURS.values())


def test_a_sub_technique_is_scored_and_its_technique_opened(graph: ThreatGraph) -> None:
    layer = _layer(graph, "lira")
    below = _technique(layer, "AML.T0024.000")
    assert (below["score"], below["color"], below["enabled"]) == (100, COLOURS[State.MEASURED], True)
    assert below["comment"] == "Membership inference: measured by lira"
    assert below["metadata"] == [{"name": "threat", "value": "threat:membership-inference"}]
    assert _technique(layer, "AML.T0024") == {"techniqueID": "AML.T0024", "showSubtechniques": True}


def test_what_was_not_measured_is_no_score_of_its_own(graph: ThreatGraph) -> None:
    below = _technique(_layer(graph), "AML.T0024.000")
    assert (below["score"], below["color"]) == (0, COLOURS[State.MEASURABLE])
    assert below["comment"] == "Membership inference: measurable by lira, rmia (not in this run)"


def _shared() -> ThreatGraph:
    nodes = [Node("AML.T0020", Kind.TECHNIQUE, "Poison Training Data"), Node("own:technique", Kind.TECHNIQUE, "own")]
    about: list[dict[str, Any]] = [{"measured_by": ("badnets",)}, {"measured_by": ("lira",)}, {}, {}]
    nodes += [Node(f"threat:{i}", Kind.THREAT, f"T{i}", "", one) for i, one in enumerate(about)]
    ends = ("AML.T0020", "own:technique")
    edges = [
        Edge(f"threat:{i}", Relation.USES, end, source, Evidence.ASSERTED)
        for i in range(4)
        for end in ends
        for source in ("catalogue", "paper")
    ]
    return ThreatGraph(nodes, edges)


def test_the_score_is_the_share_of_threats_that_were_measured() -> None:
    layer = _layer(_shared(), "badnets")
    (entry,) = layer["techniques"]
    assert entry["score"] == 25
    assert entry["color"] == COLOURS[State.MEASURED]
    assert entry["comment"].splitlines() == [
        "T0: measured by badnets",
        "T1: measurable by lira (not in this run)",
        "T2: not measurable here: no attack of the catalogue measures it",
        "T3: not measurable here: no attack of the catalogue measures it",
    ]
    assert "4 threats: 1 measured, 1 measurable, 2 not measurable" in layer["description"]


@pytest.mark.parametrize("graph", [ThreatGraph()])
def test_an_empty_graph_has_no_entries(graph: ThreatGraph) -> None:
    assert _layer(graph)["techniques"] == []
