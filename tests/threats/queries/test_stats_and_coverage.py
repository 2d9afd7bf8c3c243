"""What a graph holds, and which of its threats were measured: every threat in exactly one state, with the reason."""

from __future__ import annotations

import pytest

from threatloop.core.step import Direction
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, Stage
from threatloop.threats.queries.coverage import State, coverage
from threatloop.threats.queries.stats import stats


def threat(name: str, direction: str = "D→M", stages: tuple[str, ...] = ("training",), **facts: Attribute) -> Node:
    return Node(f"threat:{name}", Kind.THREAT, name, attributes={"direction": direction, "stages": stages, **facts})


def graph() -> ThreatGraph:
    nodes = [
        threat("a", stages=("training", "inference"), measured_by=("badnets", "blended")),
        threat("b", "M→D", measured_by=("lira",)),
        threat("c", "none", not_measurable="because no tool is called"),
        threat("d", stages=()),
        Node("AML.T0020", Kind.TECHNIQUE, "Poison"),
    ]
    edges = [Edge(f"threat:{name}", Relation.USES, "AML.T0020", "x", Evidence.ASSERTED) for name in "abc"]
    return ThreatGraph(nodes, edges)


def test_counts() -> None:
    found = stats(graph())
    assert found.nodes == {"threat": 4, "technique": 1}
    assert found.edges == {("uses", "asserted"): 3}
    assert found.threats == {
        ("D→M", "training"): 1,
        ("D→M", "inference"): 1,
        ("M→D", "training"): 1,
        ("none", "training"): 1,
        ("D→M", "unknown"): 1,
    }
    assert (found.degrees.nodes, found.degrees.alone, found.measured_edges) == (4, 1, 0)
    assert found.degrees.hubs[0] == (graph().node("AML.T0020"), 3)
    # One of four nodes has half of the ends; a fifth of the nodes is four fifths of it.
    assert found.degrees.top_share == pytest.approx(0.4)


def test_an_empty_graph_has_no_share() -> None:
    assert stats(ThreatGraph()).degrees.top_share is None


def test_every_threat_is_in_one_state_with_the_reason() -> None:
    found = coverage(graph(), ["blended", "pgd"], {"lira": "attack suspect: loss did not fall"})
    assert [(one.threat.id[-1], one.state, one.by, one.why) for one in found.threats] == [
        ("a", State.MEASURED, ("blended",), ""),
        ("b", State.MEASURABLE, ("lira",), "lira: attack suspect: loss did not fall"),
        ("c", State.NOT_MEASURABLE, (), "because no tool is called"),
        ("d", State.NOT_MEASURABLE, (), "no attack of the catalogue measures it"),
    ]
    assert found.counts() == {State.MEASURED: 1, State.MEASURABLE: 1, State.NOT_MEASURABLE: 2}
    assert found.unplaced == ("pgd",)


def test_the_table_has_every_cell_and_counts_a_threat_in_each_of_its_stages() -> None:
    table = coverage(graph(), ["badnets"]).table()
    assert {(direction.value, stage.value) for direction in Direction for stage in Stage} <= set(table)
    assert table["D→M", "training"] == {State.MEASURED: 1, State.MEASURABLE: 0, State.NOT_MEASURABLE: 0}
    assert table["D→M", "inference"][State.MEASURED] == 1
    assert table["M→D", "training"][State.MEASURABLE] == 1
    assert table["none", "training"][State.NOT_MEASURABLE] == 1
    assert table["M→M", "training"] == dict.fromkeys(State, 0)


def test_a_measurable_threat_that_was_not_tried_says_so() -> None:
    assert coverage(graph(), []).threats[0].why == "not in this run"
