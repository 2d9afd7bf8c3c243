"""A graph as columns of numbers, which is all that looking for paths needs; nodes and edges are made when asked for.

From a file it takes a tenth of the time that loading the graph does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from threatloop.threats.graph import ThreatGraph
from threatloop.threats.graph_file import Tables, load_graph, numbers, present, read_tables
from threatloop.threats.graph_rows import EDGE_COLUMNS, NODE_COLUMNS, edge_of, node_of
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation, allowed

KINDS: Final = tuple(Kind)
RELATIONS: Final = tuple(Relation)
LEVELS: Final = tuple(Evidence)
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """n nodes and m edges.

    Attributes:
        ids, names: of the nodes, n each.
        kinds: shape (n,), places in ``KINDS``.
        sources, targets: shape (m,), places of the ends among the nodes.
        relations, levels: shape (m,), places in ``RELATIONS`` and ``LEVELS``.
        effects: shape (m, 3), value and ends of the interval; not-a-number where nothing was measured.
        measurements: the nodes of this kind.
        node, edge: the node or the edge of a place.
    """

    ids: Sequence[str]
    names: Sequence[str]
    kinds: Ints
    sources: Ints
    targets: Ints
    relations: Ints
    levels: Ints
    effects: Floats
    measurements: Sequence[Node]
    node: Callable[[int], Node]
    edge: Callable[[int], Edge]

    @property
    def by_id(self) -> Mapping[str, str]:
        """Id → name."""
        return dict(zip(self.ids, self.names, strict=True))


def of_graph(graph: ThreatGraph) -> Columns:
    """The columns of a graph; later changes of it do not reach them."""
    nodes, edges = tuple(graph.nodes()), tuple(graph.edges())
    place = {node.id: i for i, node in enumerate(nodes)}
    kind = {word: i for i, word in enumerate(KINDS)}
    relation, level = ({word: i for i, word in enumerate(words)} for words in (RELATIONS, LEVELS))
    none = (np.nan, np.nan, np.nan)
    effects = [none if (e := edge.effect) is None else (e.value, e.low, e.high) for edge in edges]
    return Columns(
        ids=[node.id for node in nodes],
        names=[node.name for node in nodes],
        kinds=np.array([kind[node.kind] for node in nodes], dtype=np.int64),
        sources=np.array([place[edge.source] for edge in edges], dtype=np.int64),
        targets=np.array([place[edge.target] for edge in edges], dtype=np.int64),
        relations=np.array([relation[edge.relation] for edge in edges], dtype=np.int64),
        levels=np.array([level[edge.evidence] for edge in edges], dtype=np.int64),
        effects=np.array(effects, dtype=np.float64).reshape(-1, 3),
        measurements=[node for node in nodes if node.kind is Kind.MEASUREMENT],
        node=nodes.__getitem__,
        edge=edges.__getitem__,
    )


def of_file(path: Path) -> Columns:
    """The columns of a graph file.

    Raises:
        InputError, Problems: as `load_graph`, though texts and attributes are only checked of rows that are asked for.
    """
    tables = read_tables(path)
    found = _of_tables(tables)
    # What is wrong with a file is told by the reader that looks at every row.
    return of_graph(load_graph(path)) if found is None else found


def _of_tables(tables: Tables) -> Columns | None:
    """Nothing where a row is not as it should be."""
    nodes, edges = tables.nodes, tables.edges
    ids = nodes.column("id")
    kinds, relations, levels = (
        _codes(table, name, words)
        for table, name, words in ((nodes, "kind", KINDS), (edges, "relation", RELATIONS), (edges, "evidence", LEVELS))
    )
    sources, targets = (_integers(pc.index_in(edges.column(end), value_set=ids)) for end in ("source", "target"))
    effects = np.stack([_floats(edges.column(name)) for name in ("value", "low", "high")], axis=1)
    whole = all((column >= 0).all() for column in (kinds, relations, levels, sources, targets))
    if not whole or pc.count_distinct(ids).as_py() != len(ids) or edges.column("provenance").null_count:
        return None
    if not (_ALLOWED[relations, kinds[sources], kinds[targets]].all() and _effects_hold(edges, effects)):
        return None
    return Columns(
        ids=ids.to_pylist(),
        names=[name or "" for name in nodes.column("name").to_pylist()],
        kinds=kinds,
        sources=sources,
        targets=targets,
        relations=relations,
        levels=levels,
        effects=effects,
        measurements=[_node(nodes, int(i)) for i in np.flatnonzero(kinds == KINDS.index(Kind.MEASUREMENT))],
        node=lambda place: _node(nodes, place),
        edge=lambda place: edge_of(*(edges.column(name)[place].as_py() for name in EDGE_COLUMNS)),
    )


_ALLOWED: Final = np.array([[[allowed(a, r, b) for b in KINDS] for a in KINDS] for r in RELATIONS])


def _node(nodes: pa.Table, place: int) -> Node:
    return node_of(*(nodes.column(name)[place].as_py() for name in NODE_COLUMNS))


def _codes(table: pa.Table, name: str, words: Sequence[str]) -> Ints:
    """The place of every cell among the words, −1 for others."""
    column = table.column(name).combine_chunks()
    place = {str(word): i for i, word in enumerate(words)}
    known = np.array([place.get(word, -1) for word in column.dictionary.to_pylist()] + [-1], dtype=np.int64)
    return known[_integers(column.indices)]


def _integers(column: Any) -> Ints:
    """The cells, −1 where there is none."""
    return numbers(column, -1).astype(np.int64)


def _floats(column: Any) -> Floats:
    """The cells, not-a-number where there is none."""
    return numbers(column, np.nan).astype(np.float64)


def _effects_hold(edges: pa.Table, effects: Floats) -> bool:
    stated = present(edges.column("value"))
    value, low, high = effects[stated].T
    seeds = _integers(edges.column("n"))[stated]
    return bool((np.isfinite(value) & np.isfinite(low) & np.isfinite(high) & (low <= high) & (seeds >= 1)).all())
