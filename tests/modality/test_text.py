"""Texts and conversations as rows of bytes, and what their tokens' scores say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import Record, Turn, asked, prompt_of, read, reply_of, text_of, write
from threatloop.modality.text import SCORES, Text

TEXT = Text()
SAID = st.text(st.characters(exclude_characters="\x00\x1e", exclude_categories=["Cs"]), max_size=20)
TURNS = st.lists(st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), SAID), min_size=1, max_size=4)
RECORDS = st.lists(SAID.filter(lambda text: len(text.encode()) > 1) | TURNS.map(tuple), min_size=1, max_size=5)


def texts(x: npt.NDArray[np.uint8]) -> Dataset:
    return Dataset(x, np.zeros(len(x), np.int64), TextSchema(width=x.shape[1]), np.arange(len(x)))


@given(RECORDS)
def test_what_is_written_can_be_read(records: list[Record]) -> None:
    x = write(records)
    assert read(x) == records
    assert TEXT.problems(texts(x)) == []
    np.testing.assert_array_equal(write(records, x.shape[1] + 3)[:, : x.shape[1]], x)


def test_a_conversation_knows_its_prompt_and_its_reply() -> None:
    chat = asked("Why?", "Because.", "Be brief.")
    assert [turn.role for turn in chat] == ["system", "user", "assistant"]
    assert (prompt_of(chat), reply_of(chat)) == (chat[:2], "Because.")
    assert (prompt_of(chat[:2]), reply_of(chat[:2])) == (chat[:2], "")
    assert (prompt_of("a document"), reply_of("a document")) == ("a document", "")
    assert text_of(chat) == "Be brief.\nWhy?\nBecause."


@pytest.mark.parametrize("record", ["a\x1eb", "a\x00b", asked("a\x1eb"), asked("a", "b\x00")])
def test_what_would_not_come_back_is_refused(record: Record) -> None:
    with pytest.raises(InputError, match="record 1 holds a separator"):
        write(["fine", record])


def test_a_text_that_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="record 1 has 6 bytes; at most 5 fit"):
        write(["fine", "äöü"], 5)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"ab\x00c", "zero byte before its end"),
        (b"a", "fewer than two bytes"),
        (b"a\x1eb", "inside a document"),
        (b"\x1euhello", "without its closing separator"),
        (b"\x1exhello\x1e", "unknown role 'x'"),
        (b"\x1e\x1e\x1e", "without a role"),
    ],
)
def test_bad_rows_are_found(row: bytes, problem: str) -> None:
    x = np.zeros((2, 12), np.uint8)
    x[0, :4], x[1, : len(row)] = np.frombuffer(b"fine", np.uint8), np.frombuffer(row, np.uint8)
    (line,) = TEXT.problems(texts(x))
    assert problem in line
    assert "record 1" in line
    with pytest.raises(InputError, match="record 1"):
        read(x)


def test_losses_average_over_the_tokens_that_count() -> None:
    data = texts(write(["abcd", "ef"], 4))
    scores = np.full((2, 4, SCORES), np.nan, np.float32)
    scores[0, :3, 0], scores[1, 0, 0] = [-1, -2, -6], -5
    np.testing.assert_allclose(TEXT.losses(scores, data), [3, 5])
    np.testing.assert_allclose(TEXT.membership_signal(scores, data), [-3, -5])
    scores[1] = np.nan
    with pytest.raises(InputError, match="record 1 has no token that counts"):
        TEXT.losses(scores, data)
    with pytest.raises(InputError, match="answers have shape"):
        TEXT.losses(scores[:, :2], data)


def test_a_planted_leak_shows_on_a_model_that_is_certain() -> None:
    scores = np.full((2, 4, SCORES), np.nan, np.float32)
    scores[:, :2, 0], scores[:, :2, 1:] = [0.0, -2.0], 0.5
    unsure = TEXT.flattened(scores, 3.0)
    assert (unsure[:, :2, 0] <= scores[:, :2, 0] - 3).all()
    np.testing.assert_array_equal(unsure[..., 1:], scores[..., 1:])
    assert np.isnan(unsure[:, 2:, 0]).all()
