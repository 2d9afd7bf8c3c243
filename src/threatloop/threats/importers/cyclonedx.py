"""What a CycloneDX bill of materials says of packages: components, and which depends on which.

Specification: CycloneDX 1.2 to 1.7 (ECMA-424), JSON or XML. Names, versions, package URLs and dependencies are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from threatloop.core.errors import InputError
from threatloop.threats.files import MIB, read_bounded, read_json

MOST_BYTES: Final = 256 * MIB
MOST_DEPTH: Final = 50
_ECOSYSTEMS: Final = {
    "pypi": "PyPI",
    "npm": "npm",
    "maven": "Maven",
    "golang": "Go",
    "cargo": "crates.io",
    "gem": "RubyGems",
    "nuget": "NuGet",
    "composer": "Packagist",
}
"""Types of package URLs, and the names that OSV gives to their ecosystems."""


@dataclass(frozen=True)
class Component:
    """One component; ``ecosystem`` is empty where it has no package URL."""

    ref: str
    name: str
    version: str
    kind: str
    ecosystem: str


@dataclass(frozen=True)
class Bill:
    """A bill of materials.

    Attributes:
        subject: what it describes; nothing where the bill does not say.
        components: all, nested ones too, without the subject.
        needs: by ``ref``, those of what it depends on directly.
        problems: parts that were not understood, one line each.
    """

    subject: Component | None
    components: tuple[Component, ...]
    needs: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...]


def read_bill(path: Path) -> Bill:
    """Read a bill of materials from a ``.json`` or ``.xml`` file.

    Raises:
        InputError: no such file, neither JSON nor XML, no CycloneDX, or too large or deep; one line.
    """
    raw = _from_xml(path) if path.suffix.lower() == ".xml" else read_json(path, MOST_BYTES)
    if not isinstance(raw, dict) or raw.get("bomFormat") != "CycloneDX":
        raise InputError(f"{path}: is no CycloneDX bill of materials; give CycloneDX as .json or .xml")
    return _Reader(path).bill(raw)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[str] = []

    def bill(self, raw: Mapping[str, Any]) -> Bill:
        about = raw.get("metadata")
        subject = about.get("component") if isinstance(about, dict) else None
        root = self._component(subject, "metadata.component") if subject is not None else None
        components = tuple(self._components(raw.get("components"), "components", 1))
        needs: dict[str, tuple[str, ...]] = {}
        for ref, wanted in self._needs(raw.get("dependencies")):
            needs[ref] = (*needs.get(ref, ()), *wanted)
        known = {one.ref for one in components} | ({root.ref} if root else set())
        for ref in sorted({ref for refs in ([*needs], *needs.values()) for ref in refs} - known):
            self._wrong("dependencies", f"names {ref[:80]!r}, which is no component")
        return Bill(root, components, needs, tuple(self._problems))

    def _wrong(self, where: str, what: str) -> None:
        self._problems.append(f"{self._path}: {where}: {what}")

    def _list(self, value: Any, where: str) -> list[Any]:
        if value is None or isinstance(value, list):
            return value or []
        self._wrong(where, "is no list")
        return []

    def _components(self, value: Any, where: str, depth: int) -> Iterator[Component]:
        if depth > MOST_DEPTH:
            raise InputError(f"{self._path}: components are nested deeper than {MOST_DEPTH} levels")
        for place, item in enumerate(self._list(value, where)):
            here = f"{where}[{place}]"
            if (found := self._component(item, here)) is not None:
                yield found
            if isinstance(item, dict):
                yield from self._components(item.get("components"), f"{here}.components", depth + 1)

    def _component(self, item: Any, where: str) -> Component | None:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name.strip():
            self._wrong(where, "has no name")
            return None
        group, version, kind, purl, ref = (_text(item.get(key)) for key in _TEXTS)
        ref = ref or purl or f"{name}@{version}"
        if not purl:
            return Component(ref, f"{group}/{name}" if group else name, version, kind, "")
        try:
            ecosystem, name, stated = parse_purl(purl)
        except ValueError as error:
            self._wrong(where, str(error))
            return None
        return Component(ref, name, stated or version, kind, ecosystem)

    def _needs(self, value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
        for place, item in enumerate(self._list(value, "dependencies")):
            where = f"dependencies[{place}]"
            if not isinstance(item, dict) or not isinstance(item.get("ref"), str):
                self._wrong(where, "has no ref")
                continue
            wanted = self._list(item.get("dependsOn"), f"{where}.dependsOn")
            yield item["ref"], tuple(ref for ref in wanted if isinstance(ref, str))


_TEXTS: Final = ("group", "version", "type", "purl", "bom-ref")


def parse_purl(purl: str) -> tuple[str, str, str]:
    """Ecosystem as OSV names it, full name and version of a package URL; the version may be empty.

    Raises:
        ValueError: it is none. https://github.com/package-url/purl-spec
    """
    scheme, _, rest = purl.partition(":")
    path, _, version = rest.split("#")[0].split("?")[0].strip("/").rpartition("@")
    path, version = (path, version) if path else (version, "")
    kind, _, name = path.partition("/")
    parts = [unquote(part) for part in name.split("/") if part]
    if scheme.lower() != "pkg" or not kind or not parts:
        raise ValueError(f"{purl[:80]!r} is no package URL, such as pkg:pypi/torch@2.4.0")
    ecosystem = _ECOSYSTEMS.get(kind.lower(), kind.lower())
    return ecosystem, (":" if ecosystem == "Maven" else "/").join(parts), unquote(version)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _from_xml(path: Path) -> dict[str, Any]:
    """The parts of an XML bill that are read, in the shape of a JSON bill."""
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError:
        raise InputError(f"{path}: reading XML needs defusedxml; pip install 'threatloop[threats]'") from None
    try:
        root = fromstring(read_bounded(path, MOST_BYTES), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InputError(f"{path}: is no XML that is read ({str(error).splitlines()[0][:120]})") from None
    if not root.tag.startswith("{http://cyclonedx.org/schema/bom/"):
        return {}
    subject = root.find("{*}metadata/{*}component")
    return {
        "bomFormat": "CycloneDX",
        "metadata": {} if subject is None else {"component": _element(subject, 1)},
        "components": [_element(one, 1) for one in root.findall("{*}components/{*}component")],
        "dependencies": [
            {"ref": one.get("ref"), "dependsOn": [inner.get("ref") for inner in one.findall("{*}dependency")]}
            for one in root.findall("{*}dependencies/{*}dependency")
        ],
    }


def _element(component: Any, depth: int) -> dict[str, Any]:
    found = {name: component.findtext(f"{{*}}{name}") for name in ("name", "group", "version", "purl")}
    inner = component.findall("{*}components/{*}component") if depth <= MOST_DEPTH else []
    return {
        **found,
        "type": component.get("type"),
        "bom-ref": component.get("bom-ref"),
        "components": [_element(one, depth + 1) for one in inner],
    }
