"""Sentences, passages and chunks lie where they say; quotations are found word for word or not at all."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatloop.threats.evidence.spans import (
    CHUNK,
    LONGEST_SENTENCE,
    Span,
    chunks,
    located,
    passages,
    sentences,
    whole_sentences,
)

TEXT = """# A title

Smith et al. found that, e.g., Fig. 3 shows it. The attack did not
succeed at first! Then "it worked." All 3 models fell.

- one item of a list
- another one. It has two sentences."""


def test_sentences() -> None:
    assert [" ".join(span.of(TEXT).split()) for span in sentences(TEXT)] == [
        "# A title",
        "Smith et al. found that, e.g., Fig. 3 shows it.",
        "The attack did not succeed at first!",
        'Then "it worked."',
        "All 3 models fell.",
        "- one item of a list",
        "- another one.",
        "It has two sentences.",
    ]


@given(st.text(st.sampled_from("aB.!? \n\t\"'#-1é"), max_size=400))
def test_everything_but_white_space_is_in_one_sentence_one_passage_and_one_chunk(text: str) -> None:
    for split in (sentences, passages, chunks):
        spans = split(text)
        assert all(one.end <= other.start for one, other in pairwise(spans))
        assert all(span.of(text) == span.of(text).strip() != "" for span in spans)
        assert sum(len("".join(span.of(text).split())) for span in spans) == len("".join(text.split()))


@given(st.integers(1, 4000), st.sampled_from(["x", "x ", "word. "]))
def test_bounds(count: int, part: str) -> None:
    text = part * count
    assert all(span.end - span.start <= LONGEST_SENTENCE for span in sentences(text))
    assert all(span.end - span.start <= CHUNK for span in chunks(text))


def test_passages_join_short_sentences_of_a_paragraph() -> None:
    text = "One short sentence. " * 20 + "\n\n" + "Another paragraph."
    spans = passages(text)
    assert len(spans) > 2
    assert all(span.end - span.start >= 120 for span in spans[:-2])
    assert spans[-1].of(text) == "Another paragraph."


def test_quotations() -> None:
    whole = Span(0, len(TEXT))
    found = located("The attack  did not succeed\nat first", TEXT, whole)
    assert found is not None
    assert found.of(TEXT) == "The attack did not\nsucceed at first"
    assert located("The attack did succeed at first", TEXT, whole) is None
    assert located("the attack did not succeed", TEXT, whole) is None
    assert located("succeed", TEXT, whole) is None
    assert located(".* did not succeed at .*", TEXT, whole) is None
    assert located("The attack did not succeed", TEXT, Span(0, 40)) is None


def test_no_quotation_leaves_out_the_beginning_of_its_sentence() -> None:
    found = located("succeed at first! Then", TEXT, Span(0, len(TEXT)))
    assert found is not None
    wide = whole_sentences(found, sentences(TEXT)).of(TEXT)
    assert wide == 'The attack did not\nsucceed at first! Then "it worked."'


@pytest.mark.parametrize("part", [".", ". ", " ", "\n", "\n ", ".)", "# ", "<a", "[", "a.\n\n", "...  "])
def test_hostile_text_takes_no_longer_than_other_text(part: str) -> None:
    started = time.perf_counter()
    chunks(part * (400_000 // len(part)))
    assert time.perf_counter() - started < 8
