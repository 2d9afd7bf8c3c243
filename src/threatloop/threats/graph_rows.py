"""Nodes and edges of a threat graph as rows of a table, and back.

Of a node, ``id``, ``kind``, ``name`` and ``text`` are set; of an edge, ``source``, ``relation``, ``target``,
``provenance``, ``evidence`` and, where it was measured, ``value``, ``low``, ``high``, ``n`` and ``unit``.
``attributes`` is a JSON object or null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final, TypeVar

import pyarrow as pa

from threatloop.threats.ontology import Attribute, Edge, Effect, Evidence, Kind, Node, Relation

_TEXT, _NUMBER, _WORD = pa.string(), pa.float64(), pa.dictionary(pa.int32(), pa.string())
_COLUMNS: Final = {
    "id": _TEXT,
    "kind": _WORD,
    "name": _TEXT,
    "text": _TEXT,
    "source": _TEXT,
    "relation": _WORD,
    "target": _TEXT,
    "provenance": _WORD,
    "evidence": _WORD,
    "value": _NUMBER,
    "low": _NUMBER,
    "high": _NUMBER,
    "n": pa.int64(),
    "unit": _WORD,
    "attributes": _TEXT,
}
SCHEMA: Final = pa.schema([*_COLUMNS.items()])
NODE_COLUMNS: Final = ("id", "kind", "name", "text", "attributes")
EDGE_COLUMNS: Final = tuple(name for name in _COLUMNS if name not in NODE_COLUMNS[:-1])
_KINDS: Final = {one.value: one for one in Kind}
_RELATIONS: Final = {one.value: one for one in Relation}
_LEVELS: Final = {one.value: one for one in Evidence}
_W = TypeVar("_W")


def node_row(node: Node) -> dict[str, Any]:
    """The cells of a node by column; all others are null."""
    return {
        "id": node.id,
        "kind": node.kind.value,
        "name": node.name,
        "text": node.text,
        "attributes": _written(node.attributes),
    }


def edge_row(edge: Edge) -> dict[str, Any]:
    """The cells of an edge by column; all others are null."""
    row: dict[str, Any] = {
        "source": edge.source,
        "relation": edge.relation.value,
        "target": edge.target,
        "provenance": edge.provenance,
        "evidence": edge.evidence.value,
        "attributes": _written(edge.attributes),
    }
    if (effect := edge.effect) is not None:
        row |= asdict(effect)
    return row


def _written(attributes: Mapping[str, Attribute]) -> str | None:
    return json.dumps(dict(attributes), ensure_ascii=False) if attributes else None


def node_of(id_: str, kind: str | None, name: str | None, text: str | None, attributes: str | None) -> Node:
    """The node of a row, from the cells of ``NODE_COLUMNS``.

    Raises:
        ValueError: the cells are no node.
    """
    return Node(id_, _word(_KINDS, kind, "kind"), name or "", text or "", _attributes(attributes))


def edge_of(
    source: str | None,
    relation: str | None,
    target: str | None,
    provenance: str | None,
    evidence: str | None,
    value: float | None,
    low: float | None,
    high: float | None,
    n: int | None,
    unit: str | None,
    attributes: str | None,
) -> Edge:
    """The edge of a row, from the cells of ``EDGE_COLUMNS``.

    Raises:
        ValueError: the cells are no edge.
    """
    if source is None or target is None or provenance is None:
        raise ValueError("is neither a node with an id nor an edge with source, target and provenance")
    effect = None if value is None else _effect(value, low, high, n, unit)
    named = (
        source,
        _word(_RELATIONS, relation, "relation"),
        target,
        provenance,
        _word(_LEVELS, evidence, "level of evidence"),
    )
    return Edge(*named, effect, _attributes(attributes))


def _word(words: Mapping[str, _W], said: str | None, what: str) -> _W:
    if said is None or said not in words:
        raise ValueError(f"{said!r} is no {what}; allowed: {', '.join(words)}")
    return words[said]


def _effect(value: float, low: float | None, high: float | None, n: int | None, unit: str | None) -> Effect:
    if low is None or high is None or n is None or not all(map(math.isfinite, (value, low, high))):
        raise ValueError("states an effect without an interval and n, or one that is not finite")
    if low > high or n < 1:
        raise ValueError("states an effect whose interval is upside down, or with n below 1")
    return Effect(value, low, high, n, unit or "")


@lru_cache(maxsize=4096)
def _attributes(text: str | None) -> Mapping[str, Attribute]:
    if text is None:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("attributes are no JSON object")
    return dict(_plain(found.items()))


def _plain(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Attribute]]:
    for name, value in items:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            yield name, tuple(value)
        elif isinstance(value, str | int | float | bool):
            yield name, value
        else:
            raise ValueError(f"attribute {name!r} is neither text, number, boolean nor a list of texts")
