"""Pairs of answers to one question, of which the first was preferred, as records: ``␞uHello␞aHi.␞rWhat?␞``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError, NotAssessable
from threatloop.modality.conversation import OTHER, SEPARATOR, Bytes, Chat, Record, Turn, read, write


class Pair(NamedTuple):
    """A conversation that ends with the preferred answer, and the answer that it was preferred to."""

    chat: Chat
    other: str

    @property
    def exchanged(self) -> Pair:
        """The same two answers, the other one preferred."""
        return Pair((*self.chat[:-1], Turn("assistant", self.other)), self.chat[-1].content)


def write_pairs(items: Sequence[Record | Pair], width: int | None = None) -> Bytes:
    """Pairs and other records as rows, uint8 (n, width).

    To whoever reads conversations, a pair is the one with the preferred answer.

    Args:
        items: of which each pair's conversation ends with the assistant's turn.
        width: bytes of a row; None for as many as the longest needs.

    Raises:
        InputError: an answer is missing, holds a separator or a zero byte, or a row is longer than ``width``.
    """
    write([one.other for one in items if isinstance(one, Pair)])
    if any(isinstance(one, Pair) and (not one.chat or one.chat[-1].role != "assistant") for one in items):
        raise InputError("a pair has no preferred answer: its conversation must end with the assistant's turn")
    plain = write([one.chat if isinstance(one, Pair) else one for one in items])
    rows = [row.tobytes().rstrip(b"\0") for row in plain]
    behind = [f"{OTHER}{one.other}{SEPARATOR}".encode() if isinstance(one, Pair) else b"" for one in items]
    whole = [row + more for row, more in zip(rows, behind, strict=True)]
    longest = max(map(len, whole), default=0)
    width = max(2, longest) if width is None else width
    if longest > width:
        raise InputError(f"a pair has {longest} bytes; at most {width} fit")
    found = np.zeros((len(whole), width), np.uint8)
    for place, text in zip(found, whole, strict=True):
        place[: len(text)] = np.frombuffer(text, np.uint8)
    return found


def pairs_of(x: npt.NDArray[Any]) -> list[Pair | None]:
    """The pairs of rows; None where a row is none.

    Raises:
        InputError: a row is no record at all; says which and why.
    """
    found: list[Pair | None] = []
    for row, record in zip(np.asarray(x), read(x), strict=True):
        _, mark, other = row.tobytes().rstrip(b"\0").decode()[:-1].rpartition(f"{SEPARATOR}{OTHER}")
        found.append(Pair(record, other) if mark and not isinstance(record, str) else None)
    return found


def all_pairs(x: npt.NDArray[Any]) -> list[Pair]:
    """The pairs of rows that are all pairs.

    Raises:
        NotAssessable: how many are none.
    """
    found = pairs_of(x)
    pairs = [pair for pair in found if pair is not None]
    if len(pairs) < len(found):
        raise NotAssessable(f"{len(found) - len(pairs)} of {len(found)} records are no pairs of answers")
    return pairs
