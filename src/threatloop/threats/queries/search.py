"""Nodes by words, ranked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.keywords import Bm25, stems
from threatloop.threats.ontology import Kind, Node

_WORD: Final = re.compile(r"\w\w+")
NAME_WEIGHT: Final = 3
"""A word of the id or the name counts as often as this many in the text."""


SHORT: Final = 3
"""Letters up to which a word is not taken for another."""
LIKE: Final = 0.75
"""Ratio of difflib from which a word that no node has is taken for another one."""


@dataclass(frozen=True)
class Hit:
    """A node that was found.

    Attributes:
        score: BM25 of the words' stems in id, name and text; infinite where the words are the id or the name.
    """

    node: Node
    score: float


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: the best first.
        read_as: words of the question that no node has, and the word that each was taken for.
    """

    hits: tuple[Hit, ...]
    read_as: Mapping[str, str]


def search(graph: ThreatGraph, words: str, kind: Kind | None = None, most: int = 20) -> Found:
    """The nodes that hold some of the words in any of their forms, the best match first; nothing where none does.

    Args:
        words: words of a name or a text, or an id; case does not matter, and a word that nobody uses is taken for the
            one that is written most alike.
        kind: only such nodes.
        most: how many at most.

    Raises:
        InputError: no words, or `bm25s` or `PyStemmer` is not installed.
    """
    if not words.strip():
        raise InputError("search for at least one word or id")
    nodes = tuple(graph.nodes(kind))
    if not nodes:
        return Found((), {})
    wanted = words.strip().casefold()
    named = [node for node in nodes if wanted in (node.id.casefold(), node.name.casefold())]
    texts = [" ".join([f"{node.id} {node.name}"] * NAME_WEIGHT + [node.text]) for node in nodes]
    index = Bm25(stems(texts))
    read_as = {} if named else _read_as(wanted, texts, index.words)
    asked = " ".join(read_as.get(word, word) for word in _WORD.findall(wanted))
    hits = {node.id: Hit(node, float("inf")) for node in named}
    for hit in _ranked(nodes, index, stems([asked])[0]):
        hits.setdefault(hit.node.id, hit)
    return Found(tuple(sorted(hits.values(), key=lambda hit: (-hit.score, hit.node.id))[:most]), read_as)


def _ranked(nodes: Sequence[Node], index: Bm25, words: Sequence[str]) -> Iterable[Hit]:
    scores = index.scores([words])[0]
    return (Hit(nodes[place], float(scores[place])) for place in np.flatnonzero(scores > 0).tolist())


def _read_as(asked: str, texts: Iterable[str], known: frozenset[str]) -> dict[str, str]:
    """Of the words that no text holds in any form those that are written much like one in use, with that one."""
    words = [word for word in _WORD.findall(asked) if word.isalpha() and len(word) > SHORT]
    strange = [word for word, stem in zip(words, stems(words), strict=True) if stem and known.isdisjoint(stem)]
    if not strange:
        return {}
    used = {word for text in texts for word in _WORD.findall(text.casefold())}
    close = {word: difflib.get_close_matches(word, sorted(used), n=1, cutoff=LIKE) for word in strange}
    return {word: found[0] for word, found in close.items() if found}
