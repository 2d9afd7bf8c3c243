"""Passages go to the technique that they show, and no step is ever judged by its own case study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evidence_world import POISON, STEAL, corpus, embed
from threatloop.core.errors import InputError
from threatloop.threats import keywords
from threatloop.threats.evidence import mapper as module
from threatloop.threats.evidence.corpus import Corpus, corpus_of, read_corpus
from threatloop.threats.evidence.mapper import Mapper
from threatloop.threats.evidence.signals import Embedder, Floats, Labelled, Signals, Texts
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Node

pytest.importorskip("bm25s")
pytest.importorskip("Stemmer")


@pytest.mark.parametrize("embedder", [None, embed])
@pytest.mark.parametrize("studies", [0, 12])
def test_finds_the_technique(studies: int, embedder: Embedder | None) -> None:
    mapper = Mapper(corpus(studies), embedder)
    assert mapper.calibrated == (studies > 0)
    rankings = mapper.rank([POISON, STEAL])
    assert [one.candidates[0].technique for one in rankings] == ["AML.T0020", "AML.T0024"]
    assert all(0 <= candidate.score <= 1 for one in rankings for candidate in one.candidates)
    if studies:
        assert all(abs(sum(candidate.score for candidate in one.candidates) - 1) < 1e-9 for one in rankings)


def test_a_passage_about_something_else_is_not_familiar() -> None:
    mapper = Mapper(corpus(12), embed)
    poison, cake = mapper.rank(
        ["In case3, wrong labels were put into records of the training set.", "Whisk eggs, sugar and butter for cake."]
    )
    assert poison.familiar
    assert not cake.familiar


def test_nothing_to_rank_and_words_that_nobody_knows() -> None:
    mapper = Mapper(corpus(12), embed)
    assert mapper.rank([]) == []
    for text in ("", "zzz qqq", "🙂"):
        assert np.isfinite([one.score for one in mapper.rank([text])[0].candidates]).all()


def test_weights_are_learnt_without_the_steps_own_study(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    real = Signals

    class Spy(Signals):
        def __init__(self, techniques: Texts, examples: Labelled) -> None:
            super().__init__(techniques, examples)
            self.known = {tuple(words) for words in examples.texts.stems}

        def of(self, texts: Texts) -> dict[str, Floats]:
            seen.append((set(map(str, self.known)), {str(tuple(words)) for words in texts.stems}))
            return super().of(texts)

    monkeypatch.setattr(module, "Signals", Spy)
    mapper = Mapper(corpus(12), embed)
    assert len(seen) == module.FOLDS
    assert all(not inside & outside for inside, outside in seen)
    assert isinstance(mapper._signals, real)


def test_the_same_twice() -> None:
    first, second = (Mapper(corpus(12), embed).scores([POISON, STEAL]) for _ in range(2))
    assert np.array_equal(first, second)


def test_one_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bm25s", None)
    keywords.libraries.cache_clear()
    try:
        with pytest.raises(InputError, match=r"needs bm25s: pip install 'threatloop\[threats\]'"):
            Mapper(corpus())
    finally:
        keywords.libraries.cache_clear()


def test_techniques_of_a_graph() -> None:
    nodes = [
        Node("AML.T0051", Kind.TECHNIQUE, "LLM Prompt Injection", "[text](https://example.org) <b>bold</b>"),
        Node("AML.T0051.001", Kind.TECHNIQUE, "Indirect", "x"),
        Node("T1566", Kind.TECHNIQUE, "Phishing of another matrix", "y"),
    ]
    found = corpus_of(ThreatGraph(nodes))
    assert [one.name for one in found.techniques] == ["LLM Prompt Injection", "LLM Prompt Injection: Indirect"]
    assert found.techniques[0].text == "text bold"
    with pytest.raises(InputError, match="nothing to map to"):
        corpus_of(ThreatGraph())


@pytest.fixture(scope="module")
def release(shared_data: Path) -> Corpus:
    return read_corpus(shared_data / "ATLAS.yaml")


def test_real_release(release: Corpus) -> None:
    assert (len(release.techniques), len(release.examples)) == (170, 449)
    assert not any("http" in one.text or "](" in one.text or "<div" in one.text for one in release.examples)


def test_real_release_held_out_studies_are_mapped_far_above_chance(release: Corpus) -> None:
    names = sorted({one.study for one in release.examples})
    held = set(names[::4])
    training = replace(release, examples=tuple(one for one in release.examples if one.study not in held))
    rest = [one for one in release.examples if one.study in held]
    ranked = Mapper(training).rank([one.text for one in rest], 5)
    right = [one.technique in {c.technique for c in found.candidates} for one, found in zip(rest, ranked, strict=True)]
    # Five of 170 at random: 3 %; the benchmark measures .69 by words alone.
    assert np.mean(right) > 0.5
