"""Only what a reviewer accepts enters the graph, with its passage as provenance."""

from __future__ import annotations

import pytest

from threatloop.core.errors import Problems
from threatloop.threats.evidence.proposals import Passage, Proposal, Ranked, Similar, Source
from threatloop.threats.evidence.queue import Decided, Proposed, Queue
from threatloop.threats.evidence.review import chosen, enter
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Evidence, Kind, Node, Relation

SOURCE = Source(digest="ab" * 20, title="A report", file="a.md")
DOCUMENT = f"incident:document/{'ab' * 8}"


def proposal(start: int = 0, name: str = "", similar: tuple[Similar, ...] = ()) -> Proposal:
    return Proposal(
        document=SOURCE,
        passage=Passage(text="They poisoned\nthe data.", start=start, end=start + 23),
        technique=Ranked(technique="AML.T0020", name="Poison Training Data", score=0.7),
        calibrated=True,
        by="model m" if name else "retrieval",
        name=name,
        summary="In short." if name else "",
        similar=similar,
    )


def queue(*proposals: Proposal) -> Queue:
    found = Queue()
    for one in proposals:
        found.take(Proposed(proposal=one))
    return found


def test_retrieval_gives_a_document_that_uses_a_technique() -> None:
    graph = ThreatGraph()
    enter(graph, [proposal(7)])
    (edge,) = graph.edges()
    assert (edge.source, edge.relation, edge.target) == (DOCUMENT, Relation.USES, "AML.T0020")
    assert edge.evidence is Evidence.EXTRACTED
    assert edge.provenance == f"A report (document {'ab' * 20}, characters 7-30): “They poisoned the data.”"
    assert edge.attributes["passage"] == "They poisoned\nthe data."
    assert edge.attributes["proposed_by"] == "retrieval"
    assert graph.node(DOCUMENT).attributes["document"] == SOURCE.digest


def test_a_model_names_a_new_threat() -> None:
    graph = ThreatGraph()
    enter(graph, [proposal(0, "Data: Poïsoning / 2")])
    assert graph.node("threat:data-poisoning-2").text == "In short."
    assert {(edge.source, edge.relation, edge.target) for edge in graph.edges()} == {
        (DOCUMENT, Relation.USES, "AML.T0020"),
        ("threat:data-poisoning-2", Relation.USES, "AML.T0020"),
        (DOCUMENT, Relation.EVIDENCE_OF, "threat:data-poisoning-2"),
    }


def test_a_threat_that_is_alike_is_taken_unless_a_new_one_is_asked_for() -> None:
    known = Node("threat:poison", Kind.THREAT, "Poison", "curated")
    one = proposal(0, "Poison", (Similar(id="proposal:x", similarity=0.9), Similar(id="threat:poison", similarity=0.8)))
    graph = ThreatGraph([known])
    enter(graph, [one])
    assert [node.id for node in graph.nodes(Kind.THREAT)] == ["threat:poison"]
    enter(graph, [one], as_new=True)
    first, second = graph.nodes(Kind.THREAT)
    assert first == known
    assert second.id.startswith("threat:poison-")


def test_curated_nodes_stay_as_they_are_and_twice_is_once() -> None:
    technique = Node("AML.T0020", Kind.TECHNIQUE, "Poison Training Data", "curated", {"tactic": "x"})
    graph = ThreatGraph([technique])
    enter(graph, [proposal(0)])
    enter(graph, [proposal(0)])
    assert graph.node("AML.T0020") == technique
    assert len(list(graph.edges())) == 1
    enter(graph, [proposal(100)])
    assert len(list(graph.edges())) == 2


def test_a_stub_gets_its_name() -> None:
    graph = ThreatGraph([Node("AML.T0020", Kind.TECHNIQUE, "AML.T0020", "", {"stub": True})])
    enter(graph, [proposal(0)])
    assert graph.node("AML.T0020").name == "Poison Training Data"


@pytest.mark.parametrize("name", ["投毒", "../../etc", "a" * 150, "<script>"])
def test_names_become_harmless_ids(name: str) -> None:
    graph = ThreatGraph()
    enter(graph, [proposal(0, name)])
    (threat,) = graph.nodes(Kind.THREAT)
    assert threat.id.removeprefix("threat:").replace("-", "").isalnum()
    assert threat.id.isascii()
    assert len(threat.id) < 80


def test_choosing() -> None:
    first, second, third = (proposal(i) for i in range(3))
    found = queue(first, second, third)
    assert chosen(found, [first.id[:6]], [second.id]) == ([first], [second.id])
    assert chosen(found, [], [second.id], everything=True) == ([first, third], [second.id])


def test_every_wrong_id_at_once() -> None:
    first, second = proposal(0), proposal(1)
    found = queue(first, second)
    found.take(Decided(id=second.id, decision="rejected", at="now"))
    with pytest.raises(Problems) as error:
        chosen(found, ["zzzzz", "", second.id, first.id], [first.id])
    assert len(error.value.problems) == 4
    said = str(error.value)
    for part in (
        "zzzzz: no proposal",
        f"{second.id}: was rejected already",
        f"{first.id}: is both accepted and rejected",
    ):
        assert part in said
