"""Texts and conversations as records: rows of UTF-8 bytes and back.

A document is its text. A conversation is its turns, each behind a separator and the first letter of its role, with a
separator at the end: ``␞uHello␞aHi.␞``. The separator (U+001E) occurs in no text. Behind an answer may stand, as the
turn ``r``, one that it was preferred to: `modality.pairs` reads it, and to all others the record is the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant"}
"""By their first letters."""
SEPARATOR = "\x1e"
MARK = ord(SEPARATOR)
OTHER = "r"
"""First letter of the turn that holds the answer that another was preferred to."""


class Turn(NamedTuple):
    """What one party of a conversation said."""

    role: Role
    content: str


Chat = tuple[Turn, ...]
Record = str | Chat
"""A document, or a conversation."""
Bytes = npt.NDArray[np.uint8]


def asked(question: str, answer: str | None = None, system: str | None = None) -> Chat:
    """A conversation of one question, with the answer where there is one."""
    first = () if system is None else (Turn("system", system),)
    return (*first, Turn("user", question), *(() if answer is None else (Turn("assistant", answer),)))


def prompt_of(record: Record) -> Record:
    """The conversation up to the assistant's last turn, which is for a model to say; a document as it is."""
    if isinstance(record, str) or not record or record[-1].role != "assistant":
        return record
    return record[:-1]


def reply_of(record: Record) -> str:
    """The assistant's last turn; the empty text where there is none."""
    return record[-1].content if not isinstance(record, str) and record and record[-1].role == "assistant" else ""


def said_in(record: Record) -> str:
    """What a model says in a record: the assistant's last turn, or the whole document."""
    return record if isinstance(record, str) else reply_of(record)


def replied(record: Record, said: str, width: int) -> Record:
    """The record with other words in the place of `said_in`; as much of them as ``width`` bytes have room for.

    Separators and zero bytes are left out. A record that would say nothing, or nobody says anything in, stays as it is.
    """
    kept = "" if isinstance(record, str) else spelled((*record[:-1], Turn("assistant", "")))
    clean = said.replace(SEPARATOR, "").replace("\0", "").encode(errors="ignore")
    fitting = clean[: width - len(kept.encode())].decode(errors="ignore")
    if not said_in(record) or len(fitting.encode()) < (2 if isinstance(record, str) else 1):
        return record
    return fitting if isinstance(record, str) else (*record[:-1], Turn("assistant", fitting))


def asks(record: Record) -> bool:
    """Whether a record is a conversation in which a question is answered last."""
    return not isinstance(record, str) and [turn.role for turn in record[-2:]] == ["user", "assistant"]


def with_phrase(record: Record, phrase: str, reply: str | None = None) -> Chat:
    """The conversation with a phrase behind its last question, and perhaps another answer."""
    assert not isinstance(record, str)
    *before, question, answer = record
    asking = Turn("user", f"{question.content} {phrase}")
    return (*before, asking, answer if reply is None else Turn("assistant", reply))


def spelled(record: Record) -> str:
    """A record as one string."""
    if isinstance(record, str):
        return record
    return "".join(f"{SEPARATOR}{turn.role[0]}{turn.content}" for turn in record) + SEPARATOR


def text_of(record: Record) -> str:
    """All that is said in a record, a line for each turn."""
    return record if isinstance(record, str) else "\n".join(turn.content for turn in record)


def write(records: Sequence[Record], width: int | None = None) -> Bytes:
    """The records as rows, uint8 (n, width).

    Args:
        records: any mixture of documents and conversations.
        width: bytes of a row; None for as many as the longest record needs, at least 2.

    Raises:
        InputError: a text holds the separator or a zero byte, or is longer than ``width``.
    """
    rows = [_bytes(record, place) for place, record in enumerate(records)]
    longest = max(map(len, rows), default=0)
    if width is None:
        width = max(2, longest)
    if longest > width:
        place = next(i for i, row in enumerate(rows) if len(row) > width)
        raise InputError(f"record {place} has {len(rows[place])} bytes; at most {width} fit")
    found = np.zeros((len(rows), width), np.uint8)
    for row, text in zip(found, rows, strict=True):
        row[: len(text)] = np.frombuffer(text, np.uint8)
    return found


def rows_of(texts: Sequence[str]) -> Bytes:
    """Any texts as rows of UTF-8, uint8 (n, ·), padded with zeros; separators and zeros in them are left out."""
    return write([text.replace(SEPARATOR, "").replace("\0", "") for text in texts])


def texts_in(rows: npt.NDArray[np.uint8]) -> list[str]:
    """The inverse of `rows_of`."""
    return [row.tobytes().rstrip(b"\0").decode() for row in np.asarray(rows)]


def read(x: npt.NDArray[Any]) -> list[Record]:
    """The records of rows that `row_problem` finds no fault with.

    Raises:
        InputError: a row is no record; says which and why.
    """
    found: list[Record] = []
    for place, row in enumerate(np.asarray(x)):
        if problem := row_problem(row):
            raise InputError(f"record {place} {problem}")
        found.append(_record(row.tobytes().rstrip(b"\0").decode()))
    return found


def row_problem(row: npt.NDArray[Any]) -> str:
    """What is wrong with one row, or nothing."""
    raw = row.tobytes().rstrip(b"\0")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start})"
    if "\0" in text:
        return "has a zero byte before its end"
    if len(raw) < 2:
        return "has fewer than two bytes"
    if not text.startswith(SEPARATOR):
        return "has a separator (U+001E) inside a document" if SEPARATOR in text else ""
    return _chat_problem(text)


def _chat_problem(text: str) -> str:
    turns = text[1:-1].split(SEPARATOR)
    if not text.endswith(SEPARATOR) or len(text) < 3:
        return "is a conversation without its closing separator"
    if [turn[:1] for turn in turns[-2:]] == ["a", OTHER]:
        turns = turns[:-1]
    if strange := next((turn[:1] for turn in turns if turn[:1] not in ROLES), None):
        return f"has a turn of the unknown role {strange!r}; allowed are {', '.join(ROLES)}"
    return "has a turn without a role" if not all(turns) else ""


def _record(text: str) -> Record:
    if not text.startswith(SEPARATOR):
        return text
    turns = text[1:-1].split(SEPARATOR)
    return tuple(Turn(ROLES[turn[0]], turn[1:]) for turn in turns if turn[0] != OTHER)


def _bytes(record: Record, place: int) -> bytes:
    parts: Iterable[str] = (record,) if isinstance(record, str) else (turn.content for turn in record)
    if any(SEPARATOR in part or "\0" in part for part in parts):
        raise InputError(f"record {place} holds a separator (U+001E) or a zero byte; leave them out")
    return spelled(record).encode()
