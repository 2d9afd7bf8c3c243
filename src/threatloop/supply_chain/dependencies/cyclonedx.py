"""CycloneDX bills of materials, JSON and XML, up to version 1.7: components with a package URL, and their graph.

Format: https://cyclonedx.org/specification/overview/
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from threatloop.supply_chain.dependencies.cyclonedx_xml import as_json
from threatloop.supply_chain.dependencies.documents import json_object
from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.paths import with_ways
from threatloop.supply_chain.dependencies.purls import from_purl
from threatloop.supply_chain.dependencies.session import Source
from threatloop.supply_chain.dependencies.text import Lines
from threatloop.supply_chain.result import Place
from threatloop.threats.advisories import package_key

MAX_COMPONENTS: Final = 200_000
_SOFTWARE: Final = frozenset({"library", "framework", "application", "operating-system", "container"})


def read_cyclonedx_json(source: Source) -> None:
    """Add the components of a bill of materials in JSON."""
    document = json_object(source)
    if document is None:
        return None
    if document.get("bomFormat") != "CycloneDX":
        return source.error(1, "no CycloneDX bill of materials: bomFormat is not CycloneDX")
    return _read(source, document)


def read_cyclonedx_xml(source: Source) -> None:
    """Add the components of a bill of materials in XML."""
    document = as_json(source)
    if document is not None:
        _read(source, document)


def _read(source: Source, document: dict[str, Any]) -> None:
    reading, lines = Reading(), Lines(source.text)
    names: dict[str, str] = {}
    for component in _components(source, document.get("components")):
        _component(source, component, lines, reading, names)
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    root_ref = _text(root, "bom-ref") if isinstance(root, dict) else ""
    roots: list[str] = []
    for ref, other in _graph(source, document.get("dependencies")):
        if ref == root_ref and other in names:
            roots.append(names[other])
        elif ref in names and other in names:
            reading.edges.add((names[ref], names[other]))
    with_ways(reading, roots)
    source.reading.take([reading])
    source.reading.read.append(Place(source.shown))


def _components(source: Source, value: Any) -> Iterator[dict[str, Any]]:
    """Every component, those within others too."""
    waiting = deque([value])
    count = 0
    while waiting:
        found = waiting.popleft()
        if found is None:
            continue
        if not isinstance(found, list):
            source.error(None, "components is no list")
            continue
        for one in found:
            count += 1
            if count > MAX_COMPONENTS:
                return source.error(None, f"more than {MAX_COMPONENTS:,} components; the rest was not read")
            if isinstance(one, dict):
                yield one
                waiting.append(one.get("components"))
            else:
                source.error(None, f"a component is no object: {str(one)[:60]!r}")
    return None


def _component(
    source: Source, component: dict[str, Any], lines: Lines, reading: Reading, names: dict[str, str]
) -> None:
    name, version, purl = (_text(component, key) for key in ("name", "version", "purl"))
    line = lines.find(purl) if purl else lines.find(name) if name else None
    if not purl:
        if component.get("type") in _SOFTWARE:
            shown = f"{name[:60]} {version[:40]}".strip() or "a component without a name"
            source.skip(line, f"{shown}: it has no package URL, so its ecosystem is not known")
        return None
    try:
        ecosystem, name, found = from_purl(purl)
    except ValueError as error:
        return source.error(line, f"{name[:60]}: {error}")
    if not ecosystem:
        return source.skip(line, f"{purl[:100]}: no advisories are compared for packages of this type")
    version = found or version
    if not version:
        source.skip(line, f"{purl[:100]}: it has no version, so any advisory of the package is only possible")
    hashes = [one for one in component.get("hashes") or [] if isinstance(one, dict)]
    digests = (f"{_text(one, 'alg').lower().replace('-', '')}:{_text(one, 'content')}" for one in hashes)
    reading.dependencies.append(Dependency(ecosystem, name, source.place(line), version, hashes=tuple(digests)))
    names[_text(component, "bom-ref") or purl] = package_key(ecosystem, name)[1]
    return None


def _graph(source: Source, value: Any) -> Iterator[tuple[str, str]]:
    if value is not None and not isinstance(value, list):
        source.error(None, "dependencies is no list")
        return
    for one in value or []:
        below = one.get("dependsOn") if isinstance(one, dict) else None
        for other in below if isinstance(below, list) else []:
            if isinstance(other, str):
                yield _text(one, "ref"), other


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
