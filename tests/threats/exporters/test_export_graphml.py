"""GraphML: typed, without what XML forbids, and the same graph when read back."""

from __future__ import annotations

import io
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from threatloop.threats.exporters.graphml import graphml
from threatloop.threats.exporters.text import for_xml
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Effect, Evidence, Kind, Node, Relation

networkx = pytest.importorskip("networkx")


def _read(text: str) -> ThreatGraph:
    read = networkx.read_graphml(io.BytesIO(text.encode()), force_multigraph=True)
    nodes = [Node(id_, Kind(of["kind"]), of["name"], of["text"], _further(of)) for id_, of in read.nodes(data=True)]
    places = sorted(read.edges(keys=True, data=True), key=lambda edge: int(edge[2].removeprefix("e")))
    return ThreatGraph(nodes, [_edge(source, target, of) for source, target, _, of in places])


def _edge(source: str, target: str, of: dict[str, Any]) -> Edge:
    names = ("value", "low", "high", "n", "unit")
    effect = Effect(**{name: of[f"effect.{name}"] for name in names}) if "effect.n" in of else None
    said = Relation(of["relation"]), target, of["provenance"], Evidence(of["evidence"])
    return Edge(source, *said, effect, _further(of))


def _further(of: dict[str, Any]) -> dict[str, Any]:
    found = {key.removeprefix("attributes."): value for key, value in of.items() if key.startswith("attributes.")}
    return {key.removesuffix("[]"): tuple(json.loads(v)) if key.endswith("[]") else v for key, v in found.items()}


def test_it_reads_back_as_the_same_graph(graph: ThreatGraph) -> None:
    read = _read(graphml(graph))
    assert [node.id for node in read.nodes()] == [for_xml(node.id) for node in graph.nodes()]
    for old, new in zip(graph.nodes(), read.nodes(), strict=True):
        assert (new.kind, new.name, new.text) == (old.kind, for_xml(old.name), for_xml(old.text))
        assert new.attributes.keys() == old.attributes.keys()
        for key, value in old.attributes.items():
            assert type(new.attributes[key]) is type(value)
            assert new.attributes[key] == (for_xml(value) if isinstance(value, str) else value)
    for before, after in zip(sorted(graph.edges(), key=_place), sorted(read.edges(), key=_place), strict=True):
        assert _place(after) == _place(before)
        assert (after.evidence, after.effect, after.attributes) == (before.evidence, before.effect, before.attributes)


def _place(edge: Edge) -> tuple[str, ...]:
    return edge.source, edge.relation, edge.target, for_xml(edge.provenance)


def test_keys_are_typed(graph: ThreatGraph) -> None:
    keys = ET.fromstring(graphml(graph)).findall("{*}key")
    types = {(key.attrib["for"], key.attrib["attr.name"]): key.attrib["attr.type"] for key in keys}
    assert types["node", "attributes.year"] == "long"
    assert types["node", "attributes.score"] == "double"
    assert types["node", "attributes.shipped"] == "boolean"
    assert types["edge", "effect.value"] == "double"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1fc", "a⟨U+0000⟩b⟨U+001F⟩c"),
        ("\ud800\ufffe\uffff", "⟨U+D800⟩⟨U+FFFE⟩⟨U+FFFF⟩"),
        ("a\r\nb\rc\td", "a\nb\nc\td"),
        ("]]> <é> 🎯", "]]> <é> 🎯"),
    ],
)
def test_what_xml_forbids_is_spelled_out(text: str, shown: str) -> None:
    assert for_xml(text) == shown
    read = _read(graphml(ThreatGraph([Node(f"threat:{text}", Kind.THREAT, text, text)])))
    assert [(node.id, node.name, node.text) for node in read.nodes()] == [(f"threat:{shown}", shown, shown)]


def test_the_same_graph_makes_the_same_bytes(graph: ThreatGraph) -> None:
    assert graphml(graph) == graphml(graph)


def test_an_empty_graph_is_a_document() -> None:
    assert len(_read(graphml(ThreatGraph()))) == 0


def test_nodes_and_edges_may_use_one_name_for_other_types() -> None:
    nodes = [Node(f"threat:{i}", Kind.THREAT, str(i), "", {"order": i}) for i in range(2)]
    edge = Edge("threat:0", Relation.PRECEDES, "threat:1", "p", Evidence.ASSERTED, None, {"order": "of the matrix"})
    read = _read(graphml(ThreatGraph(nodes, [edge])))
    assert [node.attributes["order"] for node in read.nodes()] == [0, 1]
    assert [edge.attributes["order"] for edge in read.edges()] == ["of the matrix"]


def test_values_of_one_name_get_one_type() -> None:
    values: list[dict[str, Any]] = [{"a": 1, "b": 1, "c": True}, {"a": 0.5, "b": "text", "c": 2}]
    nodes = [Node(f"threat:{i}", Kind.THREAT, str(i), "", of) for i, of in enumerate(values)]
    read = [dict(node.attributes) for node in _read(graphml(ThreatGraph(nodes))).nodes()]
    assert read == [{"a": 1.0, "b": "1", "c": "True"}, {"a": 0.5, "b": "text", "c": "2"}]
