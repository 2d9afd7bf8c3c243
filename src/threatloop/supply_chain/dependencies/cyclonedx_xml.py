"""A CycloneDX bill in XML as the same bill would be in JSON, as far as dependencies need it."""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from threatloop.supply_chain.dependencies.session import Source

_SPACE: Final = "http://cyclonedx.org/schema/bom/"
MAX_DEPTH: Final = 60


def as_json(source: Source) -> dict[str, Any] | None:
    """The bill; nothing, and an error, where it is none. Entities and external references are refused."""
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import fromstring
    except ImportError:
        source.skip(None, "reading XML needs defusedxml: pip install 'threatloop[scan]'")
        return None
    try:
        root = fromstring(source.text.encode(), forbid_dtd=True)
    except ParseError as error:
        source.error(error.position[0], f"not XML: {str(error)[:120]}")
    except DefusedXmlException:
        source.error(None, "XML with a document type or entities, which is refused")
    except (ValueError, LookupError) as error:
        source.error(None, f"not XML that can be read: {str(error)[:120]}")
    else:
        if root.tag.startswith(f"{{{_SPACE}") and root.tag.endswith("}bom"):
            found = _bill(root)
            if found is None:
                source.error(None, f"components nested deeper than {MAX_DEPTH} levels; the bill was not read")
            return found
        source.error(1, "no CycloneDX bill of materials: the root element is another one")
    return None


def _bill(root: Element) -> dict[str, Any] | None:
    space = root.tag.removesuffix("bom")
    if root.find("/".join([f"{space}components/{space}component"] * (MAX_DEPTH + 1))) is not None:
        return None
    metadata = root.find(f"{space}metadata/{space}component")
    return {
        "metadata": {"component": _component(metadata, space)} if metadata is not None else {},
        "components": _components(root, space),
        "dependencies": [
            {"ref": one.get("ref"), "dependsOn": [other.get("ref") for other in one]}
            for one in root.iterfind(f"{space}dependencies/{space}dependency")
        ],
    }


def _components(parent: Element, space: str) -> list[dict[str, Any]]:
    return [_component(one, space) for one in parent.iterfind(f"{space}components/{space}component")]


def _component(one: Element, space: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": one.get("type"), "bom-ref": one.get("bom-ref")}
    for key in ("name", "version", "purl"):
        found[key] = (one.findtext(f"{space}{key}") or "").strip()
    found["hashes"] = [
        {"alg": digest.get("alg"), "content": (digest.text or "").strip()}
        for digest in one.iterfind(f"{space}hashes/{space}hash")
    ]
    found["components"] = _components(one, space)
    return found
