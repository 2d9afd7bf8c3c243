"""CycloneDX in both notations, package URLs, and broken bills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifests import read, reasons, shown
from threatloop.supply_chain.dependencies.purls import from_purl

COMPONENTS: list[dict[str, Any]] = [
    {
        "type": "library",
        "name": "Torch",
        "version": "2.0.0",
        "purl": "pkg:pypi/Torch@2.0.0",
        "bom-ref": "t",
        "hashes": [{"alg": "SHA-256", "content": "ab"}],
        "components": [{"type": "library", "name": "inner", "purl": "pkg:npm/%40scope/inner@1.0", "bom-ref": "i"}],
    },
    {"type": "library", "name": "jinja2", "version": "3.1.0", "purl": "pkg:pypi/jinja2@3.1.0?x=1#y", "bom-ref": "j"},
    {"type": "library", "name": "no-purl", "version": "1"},
    {"type": "machine-learning-model", "name": "a model"},
    {"type": "library", "name": "broken", "purl": "pypi/broken"},
    {"type": "library", "name": "other", "purl": "pkg:bitnami/other@1"},
]
BILL: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"component": {"bom-ref": "root", "name": "me"}},
    "components": COMPONENTS,
    "dependencies": [{"ref": "root", "dependsOn": ["t"]}, {"ref": "t", "dependsOn": ["j", "gone", 3]}],
}

XML = """<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5">
  <metadata><component bom-ref="root"><name>me</name></component></metadata>
  <components>
    <component type="library" bom-ref="t"><name>Torch</name><version>2.0.0</version>
      <hashes><hash alg="SHA-256">ab</hash></hashes><purl>pkg:pypi/Torch@2.0.0</purl>
      <components>
        <component type="library" bom-ref="i"><name>inner</name><purl>pkg:npm/%40scope/inner@1.0</purl></component>
      </components>
    </component>
    <component type="library" bom-ref="j">
      <name>jinja2</name><version>3.1.0</version><purl>pkg:pypi/jinja2@3.1.0</purl>
    </component>
  </components>
  <dependencies>
    <dependency ref="root"><dependency ref="t"/></dependency>
    <dependency ref="t"><dependency ref="j"/></dependency>
  </dependencies>
</bom>
"""


@pytest.mark.parametrize("files", [{"bom.json": json.dumps(BILL)}, {"sbom.xml": XML}])
def test_components_and_their_ways(tmp_path: Path, files: dict[str, str]) -> None:
    found = read(tmp_path, files)
    assert {(one.ecosystem, one.shown, one.path) for one in found.dependencies} == {
        ("PyPI", "Torch==2.0.0", ("torch",)),
        ("PyPI", "jinja2==3.1.0", ("torch", "jinja2")),
        ("npm", "@scope/inner==1.0", ()),
    }
    assert next(one for one in found.dependencies if one.name == "Torch").hashes == ("sha256:ab",)


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    said = " ".join(reasons(read(tmp_path, {"bom.json": json.dumps(BILL, indent=1)})))
    assert "no-purl 1: it has no package URL" in said
    assert "broken: no package URL" in said
    assert "no advisories are compared for packages of this type" in said
    assert "a model" not in said


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("bom.json", "{}", "bomFormat is not CycloneDX"),
        ("bom.json", '{"bomFormat": "CycloneDX", "components": 3}', "components is no list"),
        ("bom.json", '{"bomFormat": "CycloneDX", "components": [3]}', "a component is no object"),
        ("bom.json", '{"bomFormat": "CycloneDX", "dependencies": 3}', "dependencies is no list"),
        ("bom.xml", "<bom/>", "no CycloneDX bill"),
        (
            "bom.xml",
            f"<bom xmlns='http://cyclonedx.org/schema/bom/1.5'>{'<components><component>' * 90}"
            f"{'</component></components>' * 90}</bom>",
            "nested deeper than",
        ),
        ("bom.xml", "<bom", "not XML"),
        ("bom.xml", '<!DOCTYPE b [<!ENTITY a "b">]><b>&a;</b>', "document type or entities"),
    ],
)
def test_broken_bills_are_reported(tmp_path: Path, name: str, text: str, reason: str) -> None:
    found = read(tmp_path, {name: text})
    assert any(reason in one for one in reasons(found))
    assert not shown(found)


@pytest.mark.parametrize(
    ("purl", "parts"),
    [
        ("pkg:pypi/a@1.0", ("PyPI", "a", "1.0")),
        ("pkg:maven/org.x/y@1?type=jar", ("Maven", "org.x:y", "1")),
        ("pkg:golang/github.com/x/y@v1.2.3#sub", ("Go", "github.com/x/y", "v1.2.3")),
        ("pkg:deb/debian/curl@7.50?arch=amd64", ("Debian", "curl", "7.50")),
        ("pkg:pypi/torch@1.9.0%2Bcu111", ("PyPI", "torch", "1.9.0+cu111")),
        ("pkg:npm/%40a/b", ("npm", "@a/b", "")),
        ("pkg:swid/x@1", ("", "x", "1")),
    ],
)
def test_package_urls(purl: str, parts: tuple[str, str, str]) -> None:
    assert from_purl(purl) == parts


@pytest.mark.parametrize("purl", ["", "pkg:", "pkg:pypi", "pkg:pypi/", "http://x/y", "pkg:npm/a//b@1"])
def test_no_package_urls(purl: str) -> None:
    with pytest.raises(ValueError, match="no package URL"):
        from_purl(purl)
