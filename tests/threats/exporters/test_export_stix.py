"""STIX 2.1: the library reads the bundle back without any custom content, and ids never change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from threat_world import HOSTILE
from threatloop.core.errors import InputError
from threatloop.threats.exporters import stix_extension
from threatloop.threats.exporters.stix import stix
from threatloop.threats.exporters.stix_ids import reference
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Effect, Evidence, Kind, Node, Relation

stix2 = pytest.importorskip("stix2")
STAMP = datetime(2026, 11, 1, tzinfo=UTC)
EXTENSION = stix_extension.ID


@pytest.fixture(scope="module")
def objects(graph: ThreatGraph) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stix(graph, STAMP))["objects"]
    return found


def _of(objects: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    return next(one for one in objects if one.get("extensions", {}).get(EXTENSION, {}).get("graph_id") == id_)


def _edges(objects: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["type"] == "relationship" and one["relationship_type"] == word]


def test_the_library_reads_it_back_without_custom_content(graph: ThreatGraph) -> None:
    bundle = stix2.parse(stix(graph, STAMP), allow_custom=False, version="2.1")
    assert len({one["id"] for one in bundle.objects}) == len(bundle.objects)
    assert {one["type"] for one in bundle.objects} == {
        *("identity", "extension-definition", "attack-pattern", "vulnerability", "software", "infrastructure"),
        *("course-of-action", "incident", "note", "relationship"),
    }


def test_every_reference_leads_to_an_object(objects: list[dict[str, Any]]) -> None:
    known = {one["id"] for one in objects}
    for one in objects:
        ends = [value for key, value in one.items() if key.endswith("_ref")] + one.get("object_refs", [])
        assert known.issuperset(ends)
        assert known.issuperset(one.get("extensions", {}))


def test_ids_are_those_of_every_other_export(graph: ThreatGraph, objects: list[dict[str, Any]]) -> None:
    later = json.loads(stix(graph, datetime(2027, 1, 1, tzinfo=UTC)))["objects"]
    assert [one["id"] for one in later] == [one["id"] for one in objects]
    assert {one["created"] for one in later if "created" in one} == {"2026-01-01T00:00:00.000Z"}
    assert stix(graph, STAMP) == stix(graph, STAMP)
    # Pinned: changing it would double every object on platforms that imported an earlier bundle.
    assert _of(objects, "AML.T0024")["id"] == "attack-pattern--84c3c66a-33cb-5438-b804-904726560133"


def test_outside_ids_are_external_references(objects: list[dict[str, Any]]) -> None:
    technique = _of(objects, "AML.T0024.000")["external_references"]
    url = "https://atlas.mitre.org/techniques/AML.T0024.000"
    assert technique == [{"source_name": "mitre-atlas", "external_id": "AML.T0024.000", "url": url}]
    names = [one["external_id"] for one in _of(objects, "CVE-2024-1234")["external_references"]]
    assert names == ["CVE-2024-1234", "GHSA-abcd-2345-wxyz", "CWE-502"]


def test_tactics_and_stages_are_kill_chain_phases(objects: list[dict[str, Any]]) -> None:
    technique, threat = (_of(objects, id_) for id_ in ("AML.T0024.000", "threat:membership-inference"))
    assert technique["kill_chain_phases"] == [{"kill_chain_name": "mitre-atlas", "phase_name": "exfiltration"}]
    assert technique["extensions"][EXTENSION]["tactics"] == ["Exfiltration"]
    assert threat["kill_chain_phases"][0]["kill_chain_name"] == "threatloop-lifecycle"
    assert threat["extensions"][EXTENSION]["stages"] == ["inference"]


def test_effects_stand_in_the_extension(objects: list[dict[str, Any]]) -> None:
    measured = [one for one in _edges(objects, "enables") if "effect" in one["extensions"][EXTENSION]]
    about = measured[0]["extensions"][EXTENSION]
    assert about["extension_type"] == "property-extension"
    assert about["effect"] == {"value": -0.11, "low": -0.2, "high": -0.02, "n": 12, "unit": "AUC"}
    assert (about["evidence"], about["provenance"]) == ("measured", "run r1")
    assert len(_edges(objects, "enables")) == 2


def test_the_extension_keeps_to_its_own_schema(objects: list[dict[str, Any]]) -> None:
    definition = next(one for one in objects if one["type"] == "extension-definition")
    known = json.loads(definition["schema"])["properties"]
    used = {key for one in objects for key in one.get("extensions", {}).get(EXTENSION, {})}
    assert used <= known.keys()


def test_mitigation_is_turned_round_and_a_measurement_is_a_note(objects: list[dict[str, Any]]) -> None:
    (mitigates,) = _edges(objects, "mitigates")
    assert mitigates["source_ref"] == _of(objects, "AML.M0002")["id"]
    note = _of(objects, "measurement:r1")
    assert note["object_refs"] == [_of(objects, "threat:membership-inference")["id"]]


def test_hostile_text_stays_text(objects: list[dict[str, Any]]) -> None:
    assert _of(objects, "threat:hostile")["name"] == HOSTILE


def test_nothing_that_json_or_stix_cannot_hold() -> None:
    attributes: dict[str, Attribute] = {"bad key!": 1, "ü" * 300: "x", "none": (), "inf": float("inf")}
    nodes = [Node("threat:\ud800", Kind.THREAT, "", "", attributes), Node("measurement:1", Kind.MEASUREMENT, "m")]
    nodes.append(Node("threat:b", Kind.THREAT, "b"))
    effect = Effect(float("nan"), 0, 1, 3)
    edges = [Edge("threat:\ud800", Relation.ENABLES, "threat:b", "p", Evidence.MEASURED, effect)]
    text = stix(ThreatGraph(nodes, edges), STAMP)
    stix2.parse(text, allow_custom=False, version="2.1")
    objects = json.loads(text, parse_constant=pytest.fail)["objects"]
    about = _of(objects, "threat:⟨U+D800⟩")
    assert about["name"] == "threat:⟨U+D800⟩"
    assert set(about["extensions"][EXTENSION]["attributes"]) == {"bad_key_", "_" * 250}
    assert "effect" not in _edges(objects, "enables")[0]["extensions"][EXTENSION]


def test_the_time_can_be_set(graph: ThreatGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert '"modified": "2027-01-15T08:00:00.000Z"' in stix(graph)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH='yesterday': needs a whole number of seconds"):
        stix(graph)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("AML.TA0002", "https://atlas.mitre.org/tactics/AML.TA0002"),
        ("AML.M0001", "https://atlas.mitre.org/mitigations/AML.M0001"),
        ("AML.CS0000", "https://atlas.mitre.org/studies/AML.CS0000"),
        ("PYSEC-2022-43", "https://osv.dev/vulnerability/PYSEC-2022-43"),
    ],
)
def test_addresses(name: str, url: str) -> None:
    found = reference(name)
    assert found is not None
    assert found["url"] == url


@pytest.mark.parametrize("name", ["AML.T1", "CVE-2024-1 ", "CVE-2024-1234/../x", "threat:x", "javascript:alert(1)", ""])
def test_other_names_have_no_address(name: str) -> None:
    assert reference(name) is None
