"""CycloneDX in the graph: direct and transitive packages, cycles, XML, and bills that are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.cyclonedx import parse_purl, read_bill
from threatloop.threats.importers.sbom import read_sbom
from threatloop.threats.ontology import Relation


def library(name: str, version: str = "1.0") -> dict[str, Any]:
    return {"type": "library", "bom-ref": name, "name": name, "purl": f"pkg:pypi/{name}@{version}"}


def bill(**changes: Any) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"type": "application", "bom-ref": "root", "name": "shop", "version": "3"}},
        "components": [library("Torch", "2.4.0"), library("numpy"), library("alone")],
        "dependencies": [
            {"ref": "root", "dependsOn": ["Torch"]},
            {"ref": "Torch", "dependsOn": ["numpy"]},
            {"ref": "numpy", "dependsOn": ["Torch"]},
        ],
        **changes,
    }


def written(folder: Path, content: Any, name: str = "bom.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def depths(graph: ThreatGraph, repository: str = "repository:shop") -> dict[str, object]:
    return {edge.target: edge.attributes["depth"] for edge in graph.out(repository, Relation.DEPENDS_ON)}


def test_a_repository_depends_on_packages_at_their_depth_and_cycles_end(tmp_path: Path) -> None:
    graph = ThreatGraph()
    found = read_sbom(written(tmp_path, bill()))
    assert found.add_to(graph) == ()
    assert depths(graph) == {"package:pypi/torch": 1, "package:pypi/numpy": 2, "package:pypi/alone": 0}
    (edge,) = graph.out("package:pypi/torch", Relation.DEPENDS_ON)
    assert edge.target == "package:pypi/numpy"
    assert graph.out("repository:shop")[0].attributes["versions"] == ("2.4.0",)
    assert graph.node("repository:shop").attributes["version"] == "3"


def test_nested_components_and_models_are_told_apart(tmp_path: Path) -> None:
    model = {"type": "machine-learning-model", "name": "resnet", "bom-ref": "m", "components": [library("inner")]}
    found = read_sbom(written(tmp_path, bill(components=[model], dependencies=[])), "mine")
    assert [node.id for node in found.nodes] == ["repository:mine", "package:pypi/inner"]
    assert found.left_out[0].endswith("resnet left out, because a machine-learning-model is no package")


def test_xml_says_the_same(tmp_path: Path) -> None:
    components = "".join(
        f'<component type="library" bom-ref="{one["name"]}"><name>{one["name"]}</name><purl>{one["purl"]}</purl>'
        "</component>"
        for one in bill()["components"]
    )
    text = (
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><component type="application" bom-ref="root">'
        f"<name>shop</name></component></metadata><components>{components}</components><dependencies>"
        '<dependency ref="root"><dependency ref="Torch"/></dependency>'
        '<dependency ref="Torch"><dependency ref="numpy"/></dependency></dependencies></bom>'
    )
    graph = ThreatGraph()
    read_sbom(written(tmp_path, text, "bom.xml")).add_to(graph)
    assert depths(graph) == {"package:pypi/torch": 1, "package:pypi/numpy": 2, "package:pypi/alone": 0}


def test_broken_parts_are_told_and_the_rest_counts(tmp_path: Path) -> None:
    components = [library("good"), {"type": "library"}, 7, {"name": "odd", "purl": "http://x"}]
    dependencies = [{"ref": "good", "dependsOn": ["ghost"]}, "nothing", {"ref": "good", "dependsOn": 3}]
    found = read_bill(written(tmp_path, bill(components=components, dependencies=dependencies)))
    assert [one.name for one in found.components] == ["good"]
    told = "\n".join(found.problems)
    for part in (
        "components[1]: has no name",
        "components[2]: has no name",
        "components[3]: 'http://x' is no package URL",
        "dependencies[1]: has no ref",
        "dependencies[2].dependsOn: is no list",
        "names 'ghost', which is no component",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("bom.json", '{"bomFormat": "SPDX"}', "is no CycloneDX bill"),
        ("bom.json", "[]", "is no CycloneDX bill"),
        ("bom.json", '{"a": ', "is no JSON"),
        ("bom.json", '{"a": NaN}', "NaN is no number"),
        ("bom.json", "[" * 200_000, "nested too deeply"),
        ("bom.xml", "<bom>", "is no XML that is read"),
        ("bom.xml", "<bom/>", "is no CycloneDX bill"),
        ("bom.xml", '<!DOCTYPE b [<!ENTITY a "b">]><b>&a;</b>', "is no XML that is read"),
    ],
)
def test_what_is_no_bill_is_one_clear_line(tmp_path: Path, name: str, content: str, told: str) -> None:
    with pytest.raises(InputError, match=name) as found:
        read_bill(written(tmp_path, content, name))
    assert told in str(found.value)
    assert "\n" not in str(found.value)


def test_components_nested_without_end_are_refused(tmp_path: Path) -> None:
    inner: dict[str, Any] = library("x")
    for _ in range(60):
        inner = {**library("x"), "components": [inner]}
    with pytest.raises(InputError, match="nested deeper than 50"):
        read_bill(written(tmp_path, bill(components=[inner])))


@pytest.mark.parametrize(
    ("purl", "parts"),
    [
        ("pkg:pypi/torch@2.4.0", ("PyPI", "torch", "2.4.0")),
        ("pkg:npm/%40angular/core@1.0?a=b#c", ("npm", "@angular/core", "1.0")),
        ("pkg:maven/org.x/y@1", ("Maven", "org.x:y", "1")),
        ("pkg:deb/debian/curl", ("deb", "debian/curl", "")),
    ],
)
def test_package_urls(purl: str, parts: tuple[str, str, str]) -> None:
    assert parse_purl(purl) == parts


@pytest.mark.parametrize("purl", ["torch", "pkg:", "pkg:pypi", "pkg:pypi/", "pkg:/x@1"])
def test_what_is_no_package_url(purl: str) -> None:
    with pytest.raises(ValueError, match="is no package URL"):
        parse_purl(purl)
