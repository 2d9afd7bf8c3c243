"""Stolen embeddings: words are read out of them, texts are searched for, and what a store can do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from threatloop.algorithms.encoders import encoder_of
from threatloop.algorithms.text_edits import Neighbours, edits
from threatloop.algorithms.word_decoder import learned
from threatloop.attacks.model_to_data.embedding_inversion import EmbeddingInversion
from threatloop.attacks.model_to_data.nearest_text import NearestText
from threatloop.core.access import Ledger
from threatloop.core.assets import Architecture, Dataset, Evidence
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Reading
from threatloop.core.retrieval import StoreDefence, Vectors, VectorStore
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.step import Outcome
from threatloop.defences.serving.embedding_noise import EmbeddingNoise
from threatloop.defences.serving.embedding_rotation import EmbeddingRotation
from threatloop.metrics.text_inversion import TextInversion
from threatloop.modality.conversation import asked, read, text_of, texts_in, write
from threatloop.models.build import build
from threatloop.models.network import dump
from threatloop.models.responder import local_service
from threatloop.numerics.bleu import bleu, word_f1

STREAMS = Streams(2, ("store",))
WORDS = [a + b for a in ("ba", "ko", "ri", "tu", "ne", "sa") for b in ("lo", "mi", "du", "fe", "wa")]
WIDTH = 64
_DRAWN = np.random.default_rng(7).standard_normal((2, len(WORDS), 96))


def encode(texts: Sequence[str]) -> Vectors:
    """Words and which stands before which, mixed at random: order counts a little, as it does in real encoders."""
    found = np.zeros((len(texts), _DRAWN.shape[2]))
    for row, text in zip(found, texts, strict=True):
        places = [WORDS.index(word) for word in text.split() if word in WORDS]
        row += _DRAWN[0, places].sum(axis=0)
        for one, other in pairwise(places):
            row += 0.4 * np.roll(_DRAWN[1, one], 1) * _DRAWN[1, other]
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), np.float32)


def sentences(n: int, rng: np.random.Generator) -> list[str]:
    return [" ".join(WORDS[i] for i in rng.integers(len(WORDS), size=int(rng.integers(4, 8)))) for _ in range(n)]


def data(texts: Sequence[str]) -> Dataset:
    return Dataset(
        write(list(texts), WIDTH), np.zeros(len(texts), np.int64), TextSchema(width=WIDTH), np.arange(len(texts))
    )


DOCUMENTS = sentences(6, STREAMS.numpy("documents"))
POOL = sentences(300, STREAMS.numpy("pool"))
ATTACK = EmbeddingInversion(documents=len(DOCUMENTS), rounds=25, candidates=40, queries=8000)


def run(
    attack: EmbeddingInversion | NearestText, defence: StoreDefence | None = None, limit: int | None = None
) -> tuple[Outcome[Evidence], dict[str, Reading]]:
    vectors = encode(DOCUMENTS)
    if defence is not None:
        vectors = defence.stored(vectors, STREAMS.child("server"))
    store = VectorStore(vectors, Ledger(limit or attack.queries), encode)
    bench = Bench(STREAMS.child("attack"), {Resource.STORE: store, Resource.QUERY_POOL: data(POOL)}, Progress())
    outcome = attack.run(None, bench)
    assert store.ledger.spent <= (limit or attack.queries)
    case = Case({"outcome": outcome.result, "stored": data(DOCUMENTS)}, attack, STREAMS)
    found = {one.metric.removeprefix("text_inversion"): one for one in TextInversion().grade(case).readings}
    return outcome, found


def value(found: dict[str, Reading], name: str = "") -> float:
    number = found[name].value
    assert number is not None
    return number


def test_documents_are_read_out_of_their_embeddings() -> None:
    found = run(ATTACK)[1]
    looked_up = run(NearestText(documents=len(DOCUMENTS)))[1]
    assert value(found) > 0.9 > 0.7 > value(looked_up)
    assert value(found, ".words") > 0.8
    assert value(found, ".exact") > 0.5 > value(looked_up, ".exact") == 0
    assert value(found, ".bleu") > 0.7
    assert value(found, ".cosine") > value(looked_up, ".cosine")


def test_a_rotated_store_says_nothing_and_noise_says_less() -> None:
    turned, noisy = run(ATTACK, EmbeddingRotation())[1], run(ATTACK, EmbeddingNoise(scale=2.0))[1]
    assert value(turned) < 0.4
    assert value(noisy) < value(run(ATTACK)[1]) - 0.2


def test_the_same_again_is_the_same() -> None:
    short = ATTACK.model_copy(update={"rounds": 2})
    one, other = run(short)[0].result, run(short)[0].result
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


@pytest.mark.parametrize("limit", [1, 7, 320])
def test_a_budget_ends_in_the_best_texts_so_far(limit: int) -> None:
    outcome, found = run(ATTACK, limit=limit)
    assert outcome.stop_reason == "query budget spent"
    assert 0 <= value(found) <= 1
    texts = texts_in(outcome.result.arrays["guess"])
    assert len(texts) == len(DOCUMENTS)
    assert all(texts)


def test_rotation_keeps_angles_and_noise_its_size() -> None:
    vectors = encode(POOL)
    turned = EmbeddingRotation().stored(vectors, STREAMS)
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-5)
    assert np.abs(turned - vectors).max() > 0.1
    noisy = EmbeddingNoise(scale=1.0).stored(vectors, STREAMS)
    np.testing.assert_allclose(np.linalg.norm(noisy, axis=1), 1, atol=1e-5)
    assert np.einsum("nd,nd->n", noisy, vectors).mean() == pytest.approx(1 / math.sqrt(2), abs=0.03)


def test_words_of_a_sum_of_words_are_solved_for() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((len(WORDS), 64))
    texts = [" ".join(np.array(WORDS)[rng.permutation(len(WORDS))[:5]]) for _ in range(200)]
    vectors = np.array([sum(drawn[WORDS.index(word)] for word in text.split()) for text in texts], np.float32)
    decoder = learned(texts[:150], vectors[:150])
    bags = decoder.bags(vectors[150:])
    assert np.mean([set(bag.split()) == set(text.split()) for bag, text in zip(bags, texts[150:], strict=True)]) > 0.95


def test_edits_put_words_in_take_them_out_and_move_them() -> None:
    known, rng = Neighbours(["a b c", "a b d"]), np.random.default_rng(0)
    found = edits(("a", "x", "c"), ["b"], ["x"], known, rng)
    assert found[0] == ("a", "b", "c")
    assert {("a", "b", "x", "c"), ("a", "c"), ("x", "a", "c")} <= set(found)
    assert ("a", "x", "c") not in found


def test_a_language_model_embeds_documents() -> None:
    schema = TextSchema(width=WIDTH)
    gpt = Architecture(name="gpt", parameters={"width": 16, "layers": 1})
    model = dump(build(gpt, schema, torch.Generator().manual_seed(3)), gpt, schema)
    found = encoder_of("own", model, "cpu")(["bako", "ritune sa", ""])
    language = local_service(model).responder.differentiable()
    with torch.inference_mode():
        states = language.hidden(torch.tensor([list(b"bako")]))[0].mean(0).numpy()
    np.testing.assert_allclose(found[0], states / np.linalg.norm(states), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    mlp = dump(build(gpt, schema, torch.Generator().manual_seed(3)), gpt, schema)
    with pytest.raises(NotAssessable, match="encoder: minilm"):
        encoder_of("own", type(mlp)(Architecture(name="remote"), schema, {}), "cpu")


def test_measures_of_overlap() -> None:
    assert word_f1("The cat, the dog", "the dog") == pytest.approx(2 / 3)
    assert word_f1("a", "b") == word_f1("", "") == bleu("a b", "") == bleu("a", "b") == 0
    assert bleu("one two three four five", "One two, three four five!") == pytest.approx(1)
    # Precisions 2/2, (1 + 1)/(1 + 1), 1/1 and 1/1, and a brevity penalty of e^(1 − 4/2).
    assert bleu("a b c d", "a b") == pytest.approx(math.exp(-1))
    # 3/4, (1 + 1)/(3 + 1), (0 + 1)/(2 + 1), (0 + 1)/(1 + 1).
    assert bleu("a b c d", "a b x c") == pytest.approx((3 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25)


def test_an_audit_of_a_store(tmp_path: Path) -> None:
    target = {
        "data": {"chat": "preferences", "limit": 80, "room": 0},
        "model": {"name": "gpt", "parameters": {"width": 16, "layers": 1}},
        "recipe": {"epochs": 1},
        "access": [],
    }
    attack = {"name": "embedding_inversion", "documents": 3, "rounds": 2, "candidates": 8, "queries": 100}
    written = tiny.spec({"store": target}, {"store": {"attack": attack}}, defences={"turned": ["embedding_rotation"]})
    finished = tiny.run(written, tmp_path)
    assert finished.record.errors == ()
    rows = [row for row in tiny.table(tmp_path / "out") if row["metric"] == "text_inversion"]
    found = {(row["condition"], row["arm"]): row["value"] for row in rows}
    assert {("", "attack"), ("", "baseline"), ("turned", "attack"), ("turned", "baseline")} <= set(found)
    assert found["turned", "attack"] < found["", "attack"]
    assert text_of(read(write([asked("a", "b")]))[0]) == "a\nb"
