"""The catalogue as a graph: threats with their stages, assets, techniques, weaknesses, mitigations and relations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from threatloop.threats.catalogue.load import threats
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, Stage, stage_id
from threatloop.threats.threat import Asset, Threat

PROVENANCE = "threatloop catalogue"


def catalogue_graph() -> ThreatGraph:
    """The shipped catalogue as a new graph.

    A threat's targets stand on its first reference, and its relations on the source that they name (``published``);
    all else is our reading (``asserted``). Techniques, mitigations and weaknesses of other bodies are stubs, named by
    their id and with the attribute ``stub``: adding their release puts its nodes in their place. Lifecycle stages
    precede one another in their order.
    """
    found = threats()
    nodes = {node.id: node for node in (*_stages(), *_assets())}
    for one in found:
        nodes |= {node.id: node for node in (_node(one), *_around(one))}
    edges = [*_order(), *(edge for one in found for edge in (*_edges(one), *_relations(one)))]
    return ThreatGraph(nodes.values(), edges)


def asset_id(asset: Asset) -> str:
    return f"asset:{asset.value}"


def defence_id(name: str) -> str:
    """Node of a defence in our catalogue of defences."""
    return f"mitigation:{name}"


def _stages() -> Iterator[Node]:
    return (Node(stage_id(stage), Kind.STAGE, stage.value) for stage in Stage)


def _order() -> Iterator[Edge]:
    for before, after in pairwise(Stage):
        yield Edge(stage_id(before), Relation.PRECEDES, stage_id(after), PROVENANCE, Evidence.ASSERTED)


def _assets() -> Iterator[Node]:
    return (Node(asset_id(asset), Kind.ASSET, asset.value) for asset in Asset)


def _node(one: Threat) -> Node:
    facts: dict[str, Attribute] = {
        "direction": one.direction.value if one.direction else "none",
        "stages": tuple(stage.value for stage in one.stages),
        "access": tuple(sorted(one.access)),
        "systems": tuple(system.value for system in one.systems),
        "year": one.year,
        "references": tuple(str(reference) for reference in one.references),
        "measured_by": one.measured_by,
        "not_measurable": one.not_measurable or "",
    }
    return Node(one.node, Kind.THREAT, one.name, one.description, facts)


def _around(one: Threat) -> Iterator[Node]:
    for kind, ids in (
        (Kind.TECHNIQUE, one.techniques),
        (Kind.MITIGATION, one.mitigations),
        (Kind.VULNERABILITY, one.weaknesses),
    ):
        for id_ in ids:
            yield Node(id_, kind, id_, attributes={"stub": True})
    for name in one.defences:
        yield Node(defence_id(name), Kind.MITIGATION, name.replace("_", " "), attributes={"defence": name})


def _edges(one: Threat) -> Iterator[Edge]:
    for asset in one.assets:
        source = str(one.references[0])
        yield Edge(one.node, Relation.TARGETS, asset_id(asset), source, Evidence.PUBLISHED)
    for relation, ids in (
        (Relation.OCCURS_IN, [stage_id(stage) for stage in one.stages]),
        (Relation.USES, one.techniques),
        (Relation.EXPLOITS, one.weaknesses),
        (Relation.MITIGATED_BY, [*one.mitigations, *(defence_id(name) for name in one.defences)]),
    ):
        for id_ in ids:
            yield Edge(one.node, relation, id_, PROVENANCE, Evidence.ASSERTED)


def _relations(one: Threat) -> Iterator[Edge]:
    for relation in one.relations:
        evidence = Evidence.PUBLISHED if relation.source else Evidence.ASSERTED
        source = str(relation.source) if relation.source else PROVENANCE
        target = f"threat:{relation.threat}"
        yield Edge(one.node, relation.relation, target, source, evidence, attributes={"why": relation.why})
