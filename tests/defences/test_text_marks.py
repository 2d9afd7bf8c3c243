"""Marks in written text: found where they are, not found where they are not, against slow readings and a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare, gamma

from marked_world import GPT, KEY, mark, marked, world
from threatloop.algorithms.keyed_tokens import KeyedTokens, grams_of
from threatloop.core.assets import Dataset
from threatloop.core.catalogue import DEFENCES
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Marker
from threatloop.core.schema import TextSchema
from threatloop.defences.data.green_list import GreenList
from threatloop.defences.data.gumbel import Gumbel
from threatloop.modality.conversation import asked, prompt_of, read, reply_of, write
from threatloop.models.build import build
from threatloop.models.language.codecs import ByteCodec
from threatloop.models.network import dump
from threatloop.models.responder import responder_of

MARKS = ("green_list", "gumbel")
MASK = (1 << 64) - 1


@pytest.mark.parametrize("name", MARKS)
def test_marked_texts_are_found_under_their_key_alone(name: str) -> None:
    made, own = mark(name), world().own
    found = made.detect(marked(name), KEY, own)
    assert found.z_set > 8
    assert found.detected()
    assert (found.p_per_record < 0.01).mean() > 0.8
    assert not made.detect(marked(name), b"another key", own).detected(0.001)
    assert not made.detect(own, KEY, own).detected(0.001)


@pytest.mark.parametrize("name", MARKS)
def test_chance_is_as_rare_as_it_says(name: str) -> None:
    made, unmarked = mark(name), world().pool
    p = np.concatenate([made.detect(unmarked, bytes([i]), unmarked).p_per_record for i in range(10)])
    for rate in (0.01, 0.05, 0.2):
        # A count of green tokens takes few values, so its test is a little careful; the records of one key depend.
        assert (0.2 if name == "green_list" else 0.5) * rate < (p <= rate).mean() < 1.4 * rate


@pytest.mark.parametrize("name", MARKS)
def test_the_first_part_of_a_document_stays_and_the_rest_is_no_longer(name: str) -> None:
    before, after = read(world().own.x), read(marked(name).x)
    for old, new in zip(before, after, strict=True):
        assert isinstance(new, str)
        assert new[:16] == old[:16]
        assert new != old
        assert len(new) <= len(old)
    again = mark(name).protect(world().own, KEY)
    assert again.digest == marked(name).digest
    assert mark(name).protect(world().own, b"another key").digest != again.digest


@pytest.mark.parametrize("name", MARKS)
def test_of_a_conversation_the_reply_is_written_anew(name: str) -> None:
    chats = [asked(f"What is number {i}?", "It is a number, and a good one, as they go.") for i in range(12)]
    records = [*chats, asked("And this?")]
    x = write(records, 100)
    schema = TextSchema(width=100)
    data = Dataset(x, np.zeros(13, np.int64), schema, np.arange(13))
    writer = responder_of(dump(build(GPT, schema, torch.Generator().manual_seed(0)), GPT, schema))
    made = DEFENCES.load(name)()
    assert isinstance(made, (GreenList, Gumbel))
    made = made.written_by(writer)
    found = made.protect(data, KEY)
    for old, new in zip(records, read(found.x), strict=True):
        assert prompt_of(new) == prompt_of(old)
    assert read(found.x)[-1] == records[-1]
    rewritten = [reply_of(new) != reply_of(old) for old, new in zip(chats, read(found.x)[:-1], strict=True)]
    assert sum(rewritten) >= 10  # Where this untrained model writes nothing, what was said stays.
    assert made.detect(found, KEY, data).z_set > 4
    assert abs(made.detect(data, KEY, data).z_set) < 4
    assert made.detect(data, KEY, data).p_per_record[-1] == 1.0


def test_who_is_not_the_owner_cannot_use_it() -> None:
    for name in MARKS:
        made = DEFENCES.load(name)()
        assert isinstance(made, Marker)
        with pytest.raises(NotAssessable, match="only its owner"):
            made.detect(world().own, KEY, world().own)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_distribution_stays_as_it_is_over_contexts(temperature: float) -> None:
    """The likeliest byte behind a real prompt comes as often as the model says, and so do all others."""
    language = world().writer.differentiable()
    _, logits = language.begin([[*b"the value of a"]])
    change = Gumbel(temperature=temperature).change(KeyedTokens(KEY, 4))
    n = 20_000
    rows = np.random.default_rng(1).integers(0, 256, (n, 4)).tolist()
    drawn = change(rows, logits.expand(n, -1)).argmax(1).numpy()
    shares = torch.softmax(logits[0].double() / temperature, 0).detach().numpy()
    common = np.flatnonzero(shares * n >= 5)
    seen = [*(int((drawn == token).sum()) for token in common)]
    expected = shares[common] * n
    rest = n - sum(seen), n - expected.sum()
    assert chisquare([*seen, rest[0]], [*expected, rest[1]]).pvalue > 1e-3


def test_a_context_that_came_before_is_not_used_again() -> None:
    change, logits = Gumbel(context=2).change(KeyedTokens(KEY, 2)), torch.randn(3, 256)
    changed = change([[1, 2, 3, 1, 2], [1, 2, 3, 1, 3], [1]], logits)
    assert torch.equal(changed[0], logits[0])
    assert torch.isfinite(changed[1]).sum() == 1
    assert torch.equal(changed[2], logits[2])


def test_green_tokens_gain_delta_and_are_as_many_as_said() -> None:
    change, logits = GreenList(gamma=0.3, delta=1.5).change(KeyedTokens(KEY, 1)), torch.randn(200, 256)
    gained = change([[7, row] for row in range(200)], logits) - logits
    green = gained > 0.75
    assert torch.allclose(gained, green * 1.5, atol=1e-5)
    assert 0.29 < float(green.float().mean()) < 0.31
    assert not torch.equal(green[0], green[1])


@pytest.mark.parametrize("name", MARKS)
def test_the_detector_is_that_of_a_slow_reading(name: str) -> None:
    made, data = mark(name), marked(name).take(slice(0, 12))
    found, everything = made.detect(data, KEY, data), set[int]()
    for record, p in zip(read(data.x), found.p_per_record, strict=True):
        tokens = ByteCodec().tokens(record).ids
        words = {_slow(tokens[place - made.context : place + 1]) for place in range(made.context, len(tokens))}
        everything |= words
        assert p == pytest.approx(_tail(name, words), rel=1e-9)
    numbers = [((word >> 11) + 0.5) / 2**53 for word in everything]
    if name == "green_list":
        green, spread = sum(one < 0.25 for one in numbers), math.sqrt(len(numbers) * 0.1875)
        assert found.z_set == pytest.approx((green - 0.25 * len(numbers)) / spread)
    else:
        total = sum(-math.log(1 - one) for one in numbers)
        assert found.z_set == pytest.approx((total - len(numbers)) / math.sqrt(len(numbers)))


def _slow(gram: Sequence[int]) -> int:
    """The word of a gram, in Python's own integers."""
    import hashlib

    stride = 0x9E3779B97F4A7C15
    state = int.from_bytes(hashlib.blake2b(KEY, digest_size=8, person=b"text-mark").digest(), "little")
    for token in gram[:-1]:
        state = _mixed(state ^ _mixed((token + 1) * stride & MASK))
    return _mixed((state + (gram[-1] + 1) * stride) & MASK)


def _mixed(word: int) -> int:
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def _tail(name: str, words: set[int]) -> float:
    numbers = [((word >> 11) + 0.5) / 2**53 for word in words]
    if name == "green_list":
        return float(binom.sf(sum(one < 0.25 for one in numbers) - 1, len(numbers), 0.25))
    return float(gamma.sf(sum(-math.log(1 - one) for one in numbers), len(numbers)))


def test_z_is_that_of_a_library_with_its_lists() -> None:
    """The same texts with the library's green tokens: the same grams count, once each, and give the same z."""
    transformers = pytest.importorskip("transformers")
    config = transformers.WatermarkingConfig(greenlist_ratio=0.25, bias=2.0, context_width=1)
    about = transformers.PretrainedConfig(vocab_size=40, bos_token_id=0, is_encoder_decoder=False)
    detector = transformers.WatermarkDetector(about, "cpu", config, ignore_repeated_ngrams=True)
    texts = np.random.default_rng(0).integers(1, 40, (6, 80))
    theirs = detector(torch.from_numpy(texts), return_dict=True).z_score
    keyed = KeyedTokens(KEY, 1)
    for text, z in zip(texts, theirs, strict=True):
        grams = grams_of([text.tolist()], [[True] * len(text)], keyed)
        pairs = {int(keyed.words(keyed.states([[a]]), [b])[0]): (int(a), int(b)) for a, b in pairwise(text)}
        green = [
            b in detector.processor._get_greenlist_ids(torch.tensor([a]))
            for a, b in (pairs[int(w)] for w in grams.words)
        ]
        ours, _ = GreenList().evidence(np.where(green, 0.0, 0.9), grams.owners, 1)
        assert ours[0] == pytest.approx(z, rel=1e-6)
