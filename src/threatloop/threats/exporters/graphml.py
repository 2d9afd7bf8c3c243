"""GraphML (Brandes et al., 2002) for Gephi, yEd, Cytoscape and networkx: everything in the graph, typed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from threatloop.threats.exporters.text import for_xml, library
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Attribute, Edge, Node

_Value = str | int | float | bool
_Row = dict[str, _Value]


def graphml(graph: ThreatGraph) -> str:
    """The graph as a GraphML document.

    Nodes have the keys ``kind``, ``name`` and ``text``, edges ``relation``, ``evidence`` and ``provenance`` and, where
    they were measured, ``effect.value``, ``.low``, ``.high``, ``.n`` and ``.unit``. Further attributes are
    ``attributes.NAME``; a tuple of texts is ``attributes.NAME[]``, a JSON list. Where values of one name differ in
    type, all of them are written as numbers with a fraction, or as texts.

    Raises:
        InputError: networkx is not installed.
    """
    networkx = library("networkx", "writing GraphML")
    nodes = _alike([_of_node(node) for node in graph.nodes()])
    edges = _alike([_of_edge(edge) for edge in graph.edges()])
    out = networkx.MultiDiGraph()
    for node, about in zip(graph.nodes(), nodes, strict=True):
        out.add_node(for_xml(node.id), **about)
    for number, (edge, about) in enumerate(zip(graph.edges(), edges, strict=True)):
        out.add_edge(for_xml(edge.source), for_xml(edge.target), key=f"e{number}", **about)
    # Keys by number: by name, one of nodes and one of edges would have the same id.
    return "\n".join(networkx.generate_graphml(out)) + "\n"


def _alike(rows: list[_Row]) -> list[_Row]:
    """The rows with one type for each key, which GraphML declares once: the widest of those that its values have."""
    types: dict[str, set[type]] = {}
    for row in rows:
        for key, value in row.items():
            types.setdefault(key, set()).add(type(value))
    wide = {key: float if found <= {int, float} else str for key, found in types.items() if len(found) > 1}
    return [{key: wide[key](value) if key in wide else value for key, value in row.items()} for row in rows]


def _of_node(node: Node) -> _Row:
    texts = {"kind": node.kind.value, "name": node.name, "text": node.text}
    return {key: for_xml(value) for key, value in texts.items()} | _further(node.attributes)


def _of_edge(edge: Edge) -> _Row:
    texts = {"relation": edge.relation.value, "evidence": edge.evidence.value, "provenance": edge.provenance}
    about: _Row = {key: for_xml(value) for key, value in texts.items()}
    if edge.effect is not None:
        effect = edge.effect
        about |= {"effect.value": float(effect.value), "effect.low": float(effect.low)}
        about |= {"effect.high": float(effect.high), "effect.n": effect.n, "effect.unit": for_xml(effect.unit)}
    return about | _further(edge.attributes)


def _further(attributes: Mapping[str, Attribute]) -> _Row:
    found: _Row = {}
    for key, value in attributes.items():
        name = f"attributes.{for_xml(key)}"
        if isinstance(value, tuple):
            found[f"{name}[]"] = json.dumps([for_xml(item) for item in value], ensure_ascii=False)
        else:
            found[name] = for_xml(value) if isinstance(value, str) else value
    return found
