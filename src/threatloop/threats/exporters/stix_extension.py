"""What STIX has no property for – evidence, effects, stages – as a STIX 2.1 extension definition (section 7.3)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from threatloop.threats.exporters.stix_ids import CREATED, identifier
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Stage

ID: Final = identifier("extension-definition", "threat graph")
AUTHOR: Final = identifier("identity", "threatloop")
VERSION: Final = "1.0.0"
_NUMBER: Final = {"type": "number"}
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT, "minItems": 1}
SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "threat graph",
    "type": "object",
    "required": ["extension_type"],
    "properties": {
        "extension_type": {"const": "property-extension"},
        "graph_id": _TEXT,
        "kind": {"enum": [kind.value for kind in Kind]},
        "stages": {"type": "array", "items": {"enum": [stage.value for stage in Stage]}, "minItems": 1},
        "tactics": _TEXTS,
        "attributes": {"type": "object"},
        "evidence": {"enum": [level.value for level in Evidence]},
        "provenance": _TEXT,
        "effect": {
            "type": "object",
            "required": ["value", "low", "high", "n"],
            "properties": {
                "value": _NUMBER,
                "low": _NUMBER,
                "high": _NUMBER,
                "n": {"type": "integer", "minimum": 0},
                "unit": _TEXT,
            },
        },
    },
}


def definition(stix2: Any, stamp: datetime) -> list[Any]:
    """The identity that made the bundle, and the definition of the extension.

    Args:
        stix2: the library.
        stamp: when the bundle was made.
    """
    about = {"created": CREATED, "modified": stamp, "created_by_ref": AUTHOR}
    author = stix2.Identity(
        id=AUTHOR, name="threatloop", identity_class="system", created=CREATED, modified=stamp, created_by_ref=AUTHOR
    )
    extension = stix2.ExtensionDefinition(
        id=ID,
        name="threat graph",
        description="Kind and lifecycle stages of objects; evidence, provenance and measured effect of relationships.",
        schema=json.dumps(SCHEMA),
        version=VERSION,
        extension_types=["property-extension"],
        **about,
    )
    return [author, extension]


def of_node(node: Node, stages: Sequence[str], tactics: Sequence[str]) -> dict[str, Any]:
    """The extensions of the object of a node."""
    about: dict[str, Any] = {"graph_id": node.id, "kind": node.kind.value}
    about |= {name: list(found) for name, found in (("stages", stages), ("tactics", tactics)) if found}
    return _extension(about | _further(node.attributes))


def of_edge(edge: Edge) -> dict[str, Any]:
    """The extensions of the object of an edge."""
    about: dict[str, Any] = {"evidence": edge.evidence.value, "provenance": edge.provenance}
    effect = edge.effect
    if effect is not None and all(map(math.isfinite, (effect.value, effect.low, effect.high))):
        about["effect"] = {"value": effect.value, "low": effect.low, "high": effect.high, "n": effect.n}
        about["effect"] |= {"unit": effect.unit} if effect.unit else {}
    return _extension(about | _further(edge.attributes))


def _extension(about: Mapping[str, Any]) -> dict[str, Any]:
    return {ID: {"extension_type": "property-extension", **about}}


def _further(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    # STIX allows no empty list, no empty dictionary, and in keys just these letters.
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if value != () and not (isinstance(value, float) and not math.isfinite(value)):
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", key)[:250] or "_"
            found[name] = list(value) if isinstance(value, tuple) else value
    return {"attributes": found} if found else {}
