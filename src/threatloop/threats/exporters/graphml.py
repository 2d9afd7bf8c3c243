"""GraphML (Brandes et al., 2002) for Gephi, yEd, Cytoscape and networkx: everything in the graph, typed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from threatloop.threats.exporters.text import for_xml, library
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Node

_Value = str | int | float | bool


def graphml(graph: ThreatGraph) -> str:
    """The graph as a GraphML document.

    Nodes have the keys ``kind``, ``name`` and ``text``, edges ``relation``, ``evidence`` and ``provenance`` and, where
    they were measured, ``effect.value``, ``.low``, ``.high``, ``.n`` and ``.unit``. Further attributes are
    ``attributes.NAME``; a tuple of texts is ``attributes.NAME[]``, a JSON list.

    Raises:
        InputError: networkx is not installed.
    """
    networkx = library("networkx", "writing GraphML")
    out = networkx.MultiDiGraph()
    for node in graph.nodes():
        out.add_node(for_xml(node.id), **_of_node(node))
    for number, edge in enumerate(graph.edges()):
        out.add_edge(for_xml(edge.source), for_xml(edge.target), key=f"e{number}", **_of_edge(edge))
    return "\n".join(networkx.generate_graphml(out, named_key_ids=True)) + "\n"


def _of_node(node: Node) -> dict[str, _Value]:
    texts = {"kind": node.kind.value, "name": node.name, "text": node.text}
    return {key: for_xml(value) for key, value in texts.items()} | _further(node.attributes)


def _of_edge(edge: Edge) -> dict[str, _Value]:
    texts = {"relation": edge.relation.value, "evidence": edge.evidence.value, "provenance": edge.provenance}
    about: dict[str, _Value] = {key: for_xml(value) for key, value in texts.items()}
    if edge.effect is not None:
        effect = edge.effect
        about |= {"effect.value": float(effect.value), "effect.low": float(effect.low)}
        about |= {"effect.high": float(effect.high), "effect.n": effect.n, "effect.unit": for_xml(effect.unit)}
    return about | _further(edge.attributes)


def _further(attributes: Mapping[str, Attribute]) -> dict[str, _Value]:
    found: dict[str, _Value] = {}
    for key, value in attributes.items():
        name = f"attributes.{for_xml(key)}"
        if isinstance(value, tuple):
            found[f"{name}[]"] = json.dumps([for_xml(item) for item in value], ensure_ascii=False)
        else:
            found[name] = for_xml(value) if isinstance(value, str) else value
    return found
