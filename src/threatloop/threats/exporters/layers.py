"""Where the nodes of a drawing stand: a column for each kind, ordered so that few edges cross.

Barycentre ordering of layered drawings: Sugiyama, Tagawa and Toda (1981), *Methods for Visual Understanding of
Hierarchical System Structures*, section IV.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.threats.ontology import Edge, Kind, Node

COLUMNS: Final = (
    (Kind.REPOSITORY,),
    (Kind.PACKAGE,),
    (Kind.VULNERABILITY,),
    (Kind.INCIDENT, Kind.MEASUREMENT),
    (Kind.TACTIC,),
    (Kind.TECHNIQUE,),
    (Kind.THREAT,),
    (Kind.STAGE, Kind.ASSET),
    (Kind.MITIGATION,),
)
_ORDERED: Final = frozenset({Kind.TACTIC, Kind.STAGE, Kind.ASSET})
"""Kinds with an order of their own, which is kept."""
SWEEPS: Final = 6
TALLEST: Final = 56
"""Nodes one above the other; longer columns are folded into several."""
BOX: Final = (180, 20)
"""Width and height of a node, in pixels."""
_STEP: Final = (240, 25)
_FOLD: Final = 194
_MARGIN: Final = 24


@dataclass(frozen=True)
class Box:
    """A node where it stands: its left upper corner in pixels, and the column that keys walk along."""

    node: Node
    x: int
    y: int
    column: int


@dataclass(frozen=True)
class Layout:
    """A drawing: the boxes in the order of the nodes, and its size in pixels."""

    boxes: tuple[Box, ...]
    width: int
    height: int


def layout(nodes: Sequence[Node], edges: Sequence[Edge]) -> Layout:
    """Place the nodes. The same nodes and edges always stand in the same places."""
    columns = [[node.id for kind in kinds for node in nodes if node.kind is kind] for kinds in COLUMNS]
    free = {node.id for node in nodes if node.kind not in _ORDERED}
    _untangle(columns, free, _neighbours(edges))
    places: dict[str, tuple[int, int, int]] = {}
    x, number, tallest = _MARGIN, 0, 0
    for names in filter(None, columns):
        folds = math.ceil(len(names) / TALLEST)
        size = math.ceil(len(names) / folds)
        for place, name in enumerate(names):
            fold, row = divmod(place, size)
            places[name] = (x + fold * _FOLD, row, number + fold)
        x, number, tallest = x + (folds - 1) * _FOLD + _STEP[0], number + folds, max(tallest, size)
    boxes = [_box(node, *places[node.id]) for node in nodes]
    return Layout(tuple(boxes), max(x - _STEP[0] + BOX[0], 0) + _MARGIN, tallest * _STEP[1] + 2 * _MARGIN)


def _box(node: Node, x: int, row: int, column: int) -> Box:
    return Box(node, x, _MARGIN + row * _STEP[1], column)


def _neighbours(edges: Sequence[Edge]) -> Mapping[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for edge in edges:
        found[edge.source].append(edge.target)
        found[edge.target].append(edge.source)
    return found


def _untangle(columns: list[list[str]], free: set[str], neighbours: Mapping[str, list[str]]) -> None:
    heights = {name: (row + 0.5) / len(names) for names in columns for row, name in enumerate(names)}
    home = {name: number for number, names in enumerate(columns) for name in names}

    def wish(name: str) -> float:
        others = [heights[other] for other in neighbours.get(name, ()) if home[other] != home[name]]
        return sum(others) / len(others) if others else heights[name]

    for sweep in range(SWEEPS):
        for names in columns if sweep % 2 == 0 else columns[::-1]:
            if free.issuperset(names):
                names.sort(key=wish)
                heights.update({name: (row + 0.5) / len(names) for row, name in enumerate(names)})
