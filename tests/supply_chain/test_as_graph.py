"""A repository's packages in the threat graph: direct and transitive ones, cycles, and bills that are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from threatloop.core.errors import InputError
from threatloop.supply_chain.as_graph import read_repository
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Relation


def library(name: str, version: str = "1.0") -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower()}@{version}",
    }


def written(folder: Path, **changes: Any) -> Path:
    """A bill whose packages need each other in a circle."""
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"type": "application", "bom-ref": "root", "name": "shop"}},
        "components": [library("Torch", "2.4.0"), library("numpy")],
        "dependencies": [
            {"ref": "root", "dependsOn": ["Torch"]},
            {"ref": "Torch", "dependsOn": ["numpy"]},
            {"ref": "numpy", "dependsOn": ["Torch"]},
        ],
        **changes,
    }
    file = folder / "shop.cdx.json"
    file.write_text(json.dumps(bill), encoding="utf-8")
    return file


def test_a_repository_depends_on_packages_at_their_depth_and_cycles_end(tmp_path: Path) -> None:
    graph = ThreatGraph()
    assert read_repository(written(tmp_path)).add_to(graph) == ()
    edges = graph.out("repository:shop", Relation.DEPENDS_ON)
    assert {edge.target: edge.attributes["depth"] for edge in edges} == {
        "package:pypi/torch": 1,
        "package:pypi/numpy": 2,
    }
    assert {edge.attributes["versions"] for edge in edges} == {("2.4.0",), ("1.0",)}
    (needed,) = graph.out("package:pypi/torch", Relation.DEPENDS_ON)
    assert needed.target == "package:pypi/numpy"


def test_a_folder_of_manifests_is_a_repository_too(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch==2.4.0\n-r gone.txt\n")
    found = read_repository(tmp_path, "mine")
    assert [node.id for node in found.nodes] == ["repository:mine", "package:pypi/torch"]
    assert "gone.txt" in "\n".join(found.left_out)


def test_broken_parts_are_told_and_the_rest_counts(tmp_path: Path) -> None:
    odd = {"type": "library", "name": "odd", "purl": "http://x"}
    found = read_repository(written(tmp_path, components=[library("good"), 7, odd]))
    assert [node.id for node in found.nodes] == ["repository:shop", "package:pypi/good"]
    told = "\n".join(found.left_out)
    assert "a component is no object" in told
    assert "odd" in told


def test_what_is_no_bill_is_told(tmp_path: Path) -> None:
    (told,) = read_repository(written(tmp_path, bomFormat="SPDX")).left_out
    assert "no CycloneDX bill of materials" in told
    with pytest.raises(InputError, match="no such file"):
        read_repository(tmp_path / "none.json")
