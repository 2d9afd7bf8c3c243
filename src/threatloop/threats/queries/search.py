"""Nodes by words, ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node

NAME_WEIGHT: Final = 3
"""A word of the id or the name counts as often as this many in the text."""


@dataclass(frozen=True)
class Hit:
    """A node that was found.

    Attributes:
        score: BM25 (Robertson, Zaragoza 2009) of the words in id, name and text; infinite where the words are the id or
            the name.
    """

    node: Node
    score: float


def search(graph: ThreatGraph, words: str, kind: Kind | None = None, most: int = 20) -> tuple[Hit, ...]:
    """The nodes that hold some of the words, the best match first; nothing where none does.

    Args:
        words: words of a name or a text, or an id; case does not matter.
        kind: only such nodes.
        most: how many at most.

    Raises:
        InputError: no words, or `bm25s` is not installed.
    """
    if not words.strip():
        raise InputError("search for at least one word or id")
    nodes = tuple(graph.nodes(kind))
    if not nodes:
        return ()
    wanted = words.strip().casefold()
    named = [Hit(node, float("inf")) for node in nodes if wanted in (node.id.casefold(), node.name.casefold())]
    rest = _ranked(nodes, words, most + len(named))
    found = {hit.node.id: hit for hit in (*rest, *named)}
    return tuple(sorted(found.values(), key=lambda hit: (-hit.score, hit.node.id))[:most])


def _ranked(nodes: Sequence[Node], words: str, most: int) -> list[Hit]:
    library = _bm25s()
    texts = [" ".join([f"{node.id} {node.name}"] * NAME_WEIGHT + [node.text]) for node in nodes]
    index = library.BM25()
    index.index(_tokens(library, texts), show_progress=False)
    places, scores = index.retrieve(_tokens(library, [words]), k=min(most, len(nodes)), show_progress=False)
    return [
        Hit(nodes[int(place)], float(score)) for place, score in zip(places[0], scores[0], strict=True) if score > 0
    ]


def _tokens(library: Any, texts: list[str]) -> Any:
    return library.tokenize(texts, stopwords="en", show_progress=False)


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError:
        raise InputError("searching needs bm25s; pip install 'threatloop[threats]'") from None
    return bm25s
