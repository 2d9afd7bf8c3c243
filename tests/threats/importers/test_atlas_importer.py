"""An ATLAS release in the graph, and every way in which its file can be wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from threatloop.core.errors import InputError, Problems
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.atlas import read_atlas, unknown_ids
from threatloop.threats.importers.atlas_schema import plain, read_release
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation


def release() -> dict[str, Any]:
    """A small release with everything in it."""
    return {
        "id": "ATLAS",
        "version": "9.1.0",
        "matrices": [
            {
                "tactics": [{"id": "AML.TA0001", "name": "First"}, {"id": "AML.TA0002", "name": "Second"}],
                "techniques": [
                    {"id": "AML.T0001", "name": "Look", "tactics": ["AML.TA0001"], "description": "See [x](/t/y)."},
                    {"id": "AML.T0001.000", "name": "Closely", "subtechnique-of": "AML.T0001"},
                    {"id": "AML.T0002", "name": "Act", "tactics": ["AML.TA0002"], "maturity": "realized"},
                ],
                "mitigations": [
                    {"id": "AML.M0001", "name": "Hide", "techniques": [{"id": "AML.T0001", "use": "Hide it."}]}
                ],
            }
        ],
        "case-studies": [
            {
                "id": "AML.CS0001",
                "name": "It happened",
                "summary": "Long ago.",
                "case-study-type": "incident",
                "procedure": [
                    {"tactic": "AML.TA0001", "technique": "AML.T0001.000", "description": "They looked."},
                    {"tactic": "AML.TA0002", "technique": "AML.T0002", "description": "They acted."},
                    {"tactic": "AML.TA0002", "technique": "AML.T0002", "description": "Again."},
                ],
            }
        ],
    }


def written(folder: Path, content: Any) -> Path:
    file = folder / "ATLAS.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def test_a_release_becomes_typed_edges_with_its_version_as_provenance(tmp_path: Path) -> None:
    graph = ThreatGraph()
    assert read_atlas(written(tmp_path, release())).add_to(graph) == ()
    said = {(edge.source, edge.relation.value, edge.target): edge for edge in graph.edges()}
    assert set(said) == {
        ("AML.TA0001", "precedes", "AML.TA0002"),
        ("AML.T0001", "uses", "AML.TA0001"),
        ("AML.T0001.000", "uses", "AML.T0001"),
        ("AML.T0002", "uses", "AML.TA0002"),
        ("AML.T0001", "mitigated-by", "AML.M0001"),
        ("AML.T0001.000", "precedes", "AML.T0002"),
        ("AML.CS0001", "evidence-of", "AML.T0001.000"),
        ("AML.CS0001", "evidence-of", "AML.T0002"),
    }
    assert said["AML.T0002", "uses", "AML.TA0002"].provenance == "ATLAS 9.1.0"
    assert said["AML.T0001.000", "precedes", "AML.T0002"].evidence is Evidence.REPORTED
    assert said["AML.CS0001", "evidence-of", "AML.T0002"].attributes == {"steps": ("2", "3")}
    assert graph.node("AML.T0001.000").name == "Look: Closely"
    assert graph.node("AML.T0001").text == "See x."
    assert graph.node("AML.CS0001").attributes["steps"] == ("AML.T0001.000", "AML.T0002", "AML.T0002")


def test_a_release_fills_stubs_and_ids_that_it_does_not_have_are_told(tmp_path: Path) -> None:
    graph = ThreatGraph(
        [
            Node("threat:a", Kind.THREAT, "a", attributes={"atlas": ("AML.T0002", "AML.T0777")}),
            Node("AML.T0001", Kind.TECHNIQUE, "AML.T0001", attributes={"stub": True}),
            Node("AML.T0999", Kind.TECHNIQUE, "AML.T0999", attributes={"stub": True}),
        ],
        [
            Edge("threat:a", Relation.USES, "AML.T0001", "ours", Evidence.ASSERTED),
            Edge("threat:a", Relation.USES, "AML.T0999", "ours", Evidence.ASSERTED),
        ],
    )
    file = written(tmp_path, release())
    read_atlas(file).add_to(graph)
    assert graph.node("AML.T0001").name == "Look"
    assert unknown_ids(graph, read_release(file)) == (
        "AML.T0777: is unknown to ATLAS 9.1.0; named by threat:a",
        "AML.T0999: is unknown to ATLAS 9.1.0; named by threat:a",
    )


def test_all_mistakes_of_a_known_schema_are_told_at_once(tmp_path: Path) -> None:
    raw = release()
    techniques = raw["matrices"][0]["techniques"]
    techniques[0]["id"] = "T1"
    del techniques[2]["name"]
    with pytest.raises(Problems) as found:
        read_release(written(tmp_path, raw))
    assert len(found.value.problems) == 2
    assert "matrices.0.techniques.0.id" in found.value.problems[0]
    assert "matrices.0.techniques.2.name" in found.value.problems[1]


def test_ids_that_are_missing_or_there_twice_are_told_at_once(tmp_path: Path) -> None:
    raw = release()
    raw["matrices"][0]["tactics"][1]["id"] = "AML.TA0001"
    raw["matrices"][0]["techniques"][1]["subtechnique-of"] = "AML.T0009"
    with pytest.raises(Problems) as found:
        read_release(written(tmp_path, raw))
    told = "\n".join(found.value.problems)
    assert "AML.TA0001: is there twice" in told
    assert "AML.T0001.000: names AML.T0009, which the release does not have" in told
    assert "AML.CS0001 step 2: names AML.TA0002" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"id": "ATLAS", "data": []}, "it lacks version, matrices"),
        ({"id": "ATT&CK", "version": "1", "matrices": [{}]}, "its id is 'ATT&CK'"),
        ("- a\n- b\n", "it lacks id, version, matrices"),
        ("id: [", "not YAML"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("[" * 5000, "deeper"),
    ],
)
def test_an_unknown_schema_is_one_clear_line(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(InputError, match=r"ATLAS\.yaml") as found:
        read_release(written(tmp_path, content))
    assert told in str(found.value)
    assert "\n" not in str(found.value)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_release(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is no regular file"):
        read_release(tmp_path)


def test_links_of_a_text_become_words() -> None:
    assert plain("A [link](/techniques/AML.T0001)\n\nand [a]b] (c).") == "A link and [a]b] (c)."


def test_the_whole_release(shared_data: Path) -> None:
    graph = ThreatGraph()
    found = read_atlas(shared_data / "ATLAS.yaml")
    assert found.add_to(graph) == ()
    counts = Counter(node.kind for node in graph.nodes())
    assert counts == {Kind.TACTIC: 16, Kind.TECHNIQUE: 170, Kind.MITIGATION: 35, Kind.INCIDENT: 57}
    steps = [node.attributes["steps"] for node in graph.nodes(Kind.INCIDENT)]
    assert sum(len(found) for found in steps if isinstance(found, tuple)) == 449
    assert {edge.provenance.split(",")[0] for edge in graph.edges()} == {"ATLAS 5.6.0"}
