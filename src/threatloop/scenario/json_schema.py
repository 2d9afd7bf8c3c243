"""The JSON Schema of a spec, with the parameters of every attack and defence in the catalogue."""

from __future__ import annotations

from typing import Any

from threatloop.core.catalogue import ATTACKS, DEFENCES, Catalogue
from threatloop.scenario.spec import MAX_STEPS, Spec


def spec_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. Imports the catalogue's rows, not torch."""
    schema = Spec.model_json_schema()
    definitions = schema["$defs"]
    attack, defence = _choices(ATTACKS, definitions), _choices(DEFENCES, definitions)
    scenario = definitions["ScenarioSpec"]["properties"]
    scenario["attack"] = {"anyOf": [attack, {"type": "null"}], "default": None}
    scenario["chain"] = {
        "anyOf": [{"type": "array", "items": attack, "minItems": 2, "maxItems": MAX_STEPS}, {"type": "null"}],
        "default": None,
    }
    definitions["Target"]["properties"]["defences"]["items"] = defence
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _choices(catalogue: Catalogue[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A catalogue name, or an object with that name and the parameters of its class."""
    options: list[dict[str, Any]] = [{"enum": list(catalogue.names())}]
    for name in catalogue.names():
        own = catalogue.load(name).model_json_schema()
        definitions.update(own.pop("$defs", {}))
        own["properties"] = {"name": {"const": name}, **own.get("properties", {})}
        own["required"] = ["name", *own.get("required", ())]
        own["additionalProperties"] = False
        definitions[f"{catalogue.kind}-{name}"] = own
        options.append({"$ref": f"#/$defs/{catalogue.kind}-{name}"})
    return {"anyOf": options}
