"""Which node is meant by a name, and which nodes hold some words."""

from __future__ import annotations

import sys

import pytest

from threatloop.core.errors import InputError
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.keywords import libraries
from threatloop.threats.ontology import Kind, Node
from threatloop.threats.queries.naming import resolve
from threatloop.threats.queries.search import search

NAMES = {
    "threat:patch-backdoor": "Backdoor by a patch",
    "threat:blended-backdoor": "Backdoor by blending",
    "AML.T0020": "Poison Training Data",
    "threat:inversion": "Model inversion",
    "AML.T0021": "Model inversion",
}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("AML.T0020", "AML.T0020"),
        ("aml.t0020", "AML.T0020"),
        ("patch-backdoor", "threat:patch-backdoor"),
        ("PATCH-backdoor", "threat:patch-backdoor"),
        ("poison training DATA", "AML.T0020"),
        ("training poison", "AML.T0020"),
        ("blending", "threat:blended-backdoor"),
    ],
)
def test_ids_names_and_words_of_names(said: str, meant: str) -> None:
    assert resolve(said, NAMES) == meant


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("backdoor", "may be any of 2 nodes: threat:patch-backdoor (Backdoor by a patch), threat:blended-backdoor"),
        ("model inversion", "may be any of 2 nodes"),
        ("patch-bakdoor", "did you mean threat:patch-backdoor"),
        ("poisn trainin dat", "did you mean AML.T0020?"),
        ("zzzz", "no node 'zzzz' in the graph; `threatloop threats search` finds nodes"),
        ("  ", "no node"),
    ],
)
def test_what_is_unclear_is_told_with_the_nearest(said: str, told: str) -> None:
    with pytest.raises(InputError) as found:
        resolve(said, NAMES)
    assert told in str(found.value)


def graph() -> ThreatGraph:
    return ThreatGraph(
        [
            Node("threat:flip", Kind.THREAT, "Label flipping", "Wrong labels poison the model."),
            Node("AML.T0020", Kind.TECHNIQUE, "Poison training data", "Labels or inputs are changed."),
            Node("threat:steal", Kind.THREAT, "Stealing", "A model is copied."),
        ]
    )


def ids(words: str, kind: Kind | None = None, most: int = 20) -> list[str]:
    return [hit.node.id for hit in search(graph(), words, kind, most).hits]


def test_words_of_a_name_count_more_than_those_of_a_text() -> None:
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    assert ids("poison") == ["AML.T0020", "threat:flip"]
    assert ids("poison", Kind.THREAT) == ["threat:flip"]
    assert len(ids("model labels", most=1)) == 1
    assert ids("quantum") == ids("poison", Kind.ASSET) == []


@pytest.mark.parametrize("words", ["poisoning", "Poisoned", "poisons"])
def test_other_forms_of_a_word_find_the_same(words: str) -> None:
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    assert ids(words) == ids("poison")


def test_a_word_that_nobody_uses_is_taken_for_the_nearest_and_that_is_told() -> None:
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    found = search(graph(), "Posion lables t0099")
    assert found.read_as == {"posion": "poison", "lables": "labels"}
    assert [hit.node.id for hit in found.hits] == ids("poison labels")
    assert not search(graph(), "aml.t0020").read_as


def test_an_id_or_whole_name_comes_first() -> None:
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    assert ids("aml.t0020")[0] == "AML.T0020"
    assert search(graph(), "stealing").hits[0].score == float("inf")


def test_searching_needs_words_and_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at least one word"):
        search(graph(), " ")
    libraries.cache_clear()
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(InputError, match=r"needs bm25s: pip install 'threatloop\[threats\]'"):
        search(graph(), "poison")
    libraries.cache_clear()
