"""A STIX 2.1 bundle (OASIS Standard, 2021), for threat-intelligence platforms.

STIX has no objects for tactics and lifecycle stages: they become the kill-chain phases of what uses or happens in
them, as MITRE's own bundles have it, and the order among them is left out. All else is there, one object for each node
and each edge.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from threatloop.threats.exporters import stix_extension, stix_ids
from threatloop.threats.exporters.text import as_json, library
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Edge, Kind, Node, Relation, meaning

_TYPES: Final[Mapping[Kind, str]] = {
    Kind.THREAT: "attack-pattern",
    Kind.TECHNIQUE: "attack-pattern",
    Kind.VULNERABILITY: "vulnerability",
    Kind.MITIGATION: "course-of-action",
    Kind.PACKAGE: "software",
    Kind.REPOSITORY: "software",
    Kind.ASSET: "infrastructure",
    Kind.INCIDENT: "incident",
    Kind.MEASUREMENT: "note",
}
_PHASES: Final[Mapping[Kind, str]] = {Kind.TACTIC: "mitre-atlas", Kind.STAGE: "threatloop-lifecycle"}
_IN_CHAINS: Final = frozenset({"attack-pattern", "infrastructure", "incident"})
"""Types of objects that have kill-chain phases."""


def stix(graph: ThreatGraph, stamp: datetime | None = None) -> str:
    """The graph as a STIX 2.1 bundle, as JSON.

    Identifiers are UUIDv5 of what they name, so a second export updates the first. The ids of ATLAS, CVE, CWE and OSV
    are external references. ``mitigated-by`` is turned round to ``mitigates``. A measurement is a note on what it is
    evidence of. Evidence, effects and all that STIX has no property for are in one property extension.

    Args:
        graph: may be empty.
        stamp: when the objects count as modified; now by default, or ``SOURCE_DATE_EPOCH``.

    Raises:
        InputError: stix2 is not installed, or the variable is no number.
    """
    stix2 = library("stix2", "writing STIX")
    stamp = stamp or stix_ids.modified()
    # Each object becomes plain at once, and the bundle is made by hand: the library's own keeps a few kilobytes for
    # each object, and copies and checks every one a second time.
    objects: list[dict[str, Any]] = [json.loads(one.serialize()) for one in _objects(stix2, graph, stamp)]
    names = "".join(sorted(one["id"] for one in objects))
    id_ = f"bundle--{uuid.uuid5(stix_ids.NAMESPACE, f'{stamp}{names}')}"
    return as_json({"type": "bundle", "id": id_, "objects": objects})


def _objects(stix2: Any, graph: ThreatGraph, stamp: datetime) -> Iterator[Any]:
    yield from stix_extension.definition(stix2, stamp)
    yield from (_object(stix2, graph, node, stamp) for node in graph.nodes() if node.kind in _TYPES)
    yield from (_relationship(stix2, graph, edge, stamp) for edge in graph.edges() if _drawn(graph, edge))


def object_id(node: Node) -> str:
    """The STIX id of the object of a node; of kinds that have objects."""
    return stix_ids.identifier(_TYPES[node.kind], node.id)


def _drawn(graph: ThreatGraph, edge: Edge) -> bool:
    return graph.node(edge.source).kind in _TYPES and graph.node(edge.target).kind in _TYPES


def _object(stix2: Any, graph: ThreatGraph, node: Node, stamp: datetime) -> Any:
    kind = _TYPES[node.kind]
    phases = [other for edge in graph.out(node.id) if (other := graph.node(edge.target)).kind in _PHASES]
    stages, tactics = (
        list(dict.fromkeys(one.name for one in phases if one.kind is of)) for of in (Kind.STAGE, Kind.TACTIC)
    )
    name = node.name or node.id
    about: dict[str, Any] = {"id": object_id(node), "extensions": stix_extension.of_node(node, stages, tactics)}
    if kind == "software":  # an observable object: it has no time, no author and no text
        return stix2.Software(name=name, **about)
    about |= {"created": stix_ids.CREATED, "modified": stamp, "created_by_ref": stix_extension.AUTHOR}
    if found := stix_ids.references(node):
        about["external_references"] = found
    if kind == "note":
        return stix2.Note(abstract=name, content=node.text or name, object_refs=_judged(graph, node), **about)
    if phases and kind in _IN_CHAINS:
        about["kill_chain_phases"] = _chain(phases)
    if node.text:
        about["description"] = node.text
    return _class(stix2, kind)(name=name, **about)


def _class(stix2: Any, kind: str) -> Any:
    return getattr(stix2, "".join(part.capitalize() for part in kind.replace("-of-", "-Of-").split("-")))


def _chain(phases: list[Node]) -> list[dict[str, str]]:
    found = {(_PHASES[one.kind], one.name.lower().replace(" ", "-")): None for one in phases}
    return [{"kill_chain_name": chain, "phase_name": phase} for chain, phase in found]


def _judged(graph: ThreatGraph, node: Node) -> list[str]:
    ends = (graph.node(edge.target) for edge in graph.out(node.id, Relation.EVIDENCE_OF))
    return list(dict.fromkeys(object_id(end) for end in ends)) or [stix_extension.AUTHOR]


def _relationship(stix2: Any, graph: ThreatGraph, edge: Edge, stamp: datetime) -> Any:
    source, target = (object_id(graph.node(end)) for end in (edge.source, edge.target))
    word = edge.relation.value
    if edge.relation is Relation.MITIGATED_BY:
        source, target, word = target, source, "mitigates"
    return stix2.Relationship(
        id=stix_ids.of_edge(edge),
        created=stix_ids.CREATED,
        modified=stamp,
        created_by_ref=stix_extension.AUTHOR,
        relationship_type=word,
        source_ref=source,
        target_ref=target,
        description=f"{edge.provenance} ({meaning(edge.evidence)})",
        extensions=stix_extension.of_edge(edge),
    )
