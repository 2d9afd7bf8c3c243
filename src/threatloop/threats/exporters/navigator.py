"""A layer for MITRE's ATLAS Navigator: which techniques an audit has measured.

The fields are those of the ATT&CK Navigator's layer format 4.3, which MITRE's own ATLAS layers use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from threatloop.threats.exporters.text import as_json
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node, Relation
from threatloop.threats.queries.coverage import Coverage, Covered, State

VERSIONS: Final = {"layer": "4.3", "navigator": "4.6.4"}
DOMAIN: Final = "atlas-atlas"
COLOURS: Final = {State.MEASURED: "#7fbf9b", State.MEASURABLE: "#f2d16b", State.NOT_MEASURABLE: "#c3cad2"}
_GRADIENT: Final = {"colors": ["#ffffff", "#2f6b4f"], "minValue": 0, "maxValue": 100}
_ATLAS: Final = re.compile(r"AML\.T\d{4}(\.\d{3})?")
_LEGEND: Final = {
    State.MEASURED: "a threat that uses it was measured",
    State.MEASURABLE: "an attack could measure one, and has not",
    State.NOT_MEASURABLE: "no attack here measures any",
}


def navigator(graph: ThreatGraph, coverage: Coverage, name: str = "threatloop coverage") -> str:
    """The layer, as JSON.

    Every ATLAS technique that a threat of the graph uses has a score, the share of these threats that were measured in
    per cent; the colour of the best state among them; and a comment that names, threat by threat, the attacks that
    measure it or the reason why none does. Other techniques have no entry: nothing is known of them here.

    Args:
        graph: with threats and the techniques they use.
        coverage: of this graph.
        name: of the layer.
    """
    covered = {one.threat.id: one for one in coverage.threats}
    techniques = [node for node in graph.nodes(Kind.TECHNIQUE) if _ATLAS.fullmatch(node.id)]
    entries = [_entry(node, users) for node in techniques if (users := _users(graph, node, covered))]
    counts = coverage.counts()
    told = ", ".join(f"{counts[state]} {state}" for state in State)
    layer = {
        "name": name,
        "versions": VERSIONS,
        "domain": DOMAIN,
        "description": f"{len(coverage.threats)} threats: {told}. Score: share of a technique's threats that were "
        "measured, in per cent. A technique without colour is used by no threat of the graph.",
        "sorting": 0,
        "hideDisabled": False,
        "techniques": [*entries, *_parents(entries)],
        "gradient": _GRADIENT,
        "legendItems": [{"label": _LEGEND[state], "color": COLOURS[state]} for state in State],
        "metadata": [{"name": "atlas_data_version", "value": release} for release in _releases(graph)],
    }
    return as_json(layer)


def _users(graph: ThreatGraph, node: Node, covered: dict[str, Covered]) -> list[Covered]:
    found = dict.fromkeys(edge.source for edge in graph.into(node.id, Relation.USES))
    return [covered[source] for source in found if source in covered]


def _entry(node: Node, users: Sequence[Covered]) -> dict[str, Any]:
    order = list(State)
    states = [one.state for one in users]
    entry = {
        "techniqueID": node.id,
        "score": round(100 * states.count(State.MEASURED) / len(states)),
        "color": COLOURS[min(states, key=order.index)],
        "comment": "\n".join(_told(one) for one in sorted(users, key=lambda one: order.index(one.state))),
        "enabled": True,
        "metadata": [{"name": "threat", "value": one.threat.id} for one in users],
    }
    return entry if "." in node.id[4:] else {**entry, "showSubtechniques": True}


def _told(one: Covered) -> str:
    by = ", ".join(one.by)
    said = {
        State.MEASURED: f"measured by {by}",
        State.MEASURABLE: f"measurable by {by} ({one.why})",
        State.NOT_MEASURABLE: f"not measurable here: {one.why}",
    }
    return f"{one.threat.name}: {said[one.state]}"


def _parents(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Techniques that are opened since one below them has an entry and they have none."""
    known = {entry["techniqueID"] for entry in entries}
    above = dict.fromkeys(id_[: id_.rindex(".")] for id_ in sorted(known) if "." in id_[4:])
    return [{"techniqueID": id_, "showSubtechniques": True} for id_ in above if id_ not in known]


def _releases(graph: ThreatGraph) -> list[str]:
    found = (re.search(r"\bATLAS (\d+(?:\.\d+)+)", edge.provenance) for edge in graph.edges(Relation.USES))
    return sorted({release[1] for release in found if release})
