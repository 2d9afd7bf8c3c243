"""Advisories in the graph: sources meet in one node, and what was withdrawn is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from threatloop.threats.advisories import Advisory, AdvisoryProblem, AdvisorySet, Affected, Event, Range
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.osv import from_advisories, read_osv, vulnerability_id
from threatloop.threats.ontology import Evidence, Kind, Relation


def affected(package: str, *events: tuple[str, str]) -> Affected:
    ranges = (Range("ECOSYSTEM", tuple(Event(*event) for event in events)),) if events else ()
    return Affected("PyPI", package, ranges, ("1.0",))


def test_advisories_of_one_cve_meet_in_one_vulnerability() -> None:
    first = Advisory("PYSEC-1", ("CVE-2024-0001",), "", "Short.", affected=(affected("Torch", ("fixed", "2.0")),))
    second = Advisory("GHSA-x", ("CVE-2024-0001",), "A title", "A longer text.", affected=(affected("torch"),))
    graph = ThreatGraph()
    assert from_advisories(AdvisorySet((first, second))).add_to(graph) == ()
    (node,) = graph.nodes(Kind.VULNERABILITY)
    assert (node.id, node.name, node.text) == ("CVE-2024-0001", "A title", "A longer text.")
    assert node.attributes["aliases"] == ("GHSA-x", "PYSEC-1")
    edges = graph.out("CVE-2024-0001", Relation.AFFECTS)
    assert {edge.provenance for edge in edges} == {"OSV PYSEC-1", "OSV GHSA-x"}
    assert {edge.target for edge in edges} == {"package:pypi/torch"}
    assert edges[0].attributes == {"listed_versions": 1, "fixed": ("2.0",)}
    assert edges[0].evidence is Evidence.PUBLISHED


def test_parts_of_one_package_stand_side_by_side() -> None:
    both = (affected("a", ("fixed", "1.5")), affected("A", ("introduced", "2.0"), ("fixed", "2.1")))
    found = from_advisories(AdvisorySet((Advisory("PYSEC-2", affected=both),)))
    assert [edge.provenance for edge in found.edges] == ["OSV PYSEC-2, part 1", "OSV PYSEC-2, part 2"]


def test_several_cves_are_no_name_of_one() -> None:
    assert vulnerability_id(Advisory("GHSA-1", ("CVE-2020-1", "CVE-2020-2"))) == "GHSA-1"
    assert vulnerability_id(Advisory("CVE-2020-3")) == "CVE-2020-3"


def test_withdrawn_and_broken_advisories_are_told() -> None:
    gone = Advisory("PYSEC-3", withdrawn=datetime(2024, 1, 1, tzinfo=UTC), affected=(affected("a"),))
    found = from_advisories(AdvisorySet((gone,), (AdvisoryProblem("x.yaml", "is broken"),)), "db.zip")
    assert found.nodes == ()
    assert found.left_out == ("x.yaml: is broken", "db.zip: 1 advisories left out, because they were withdrawn")


def test_the_whole_database(shared_data: Path) -> None:
    graph = ThreatGraph()
    found = read_osv(shared_data / "pypa_advisories_2024-10.zip")
    assert found.add_to(graph) == ()
    assert len({edge.provenance.split(",")[0] for edge in graph.edges(Relation.AFFECTS)}) == 2661 - 10
    assert found.left_out[-1].endswith("10 advisories left out, because they were withdrawn")
