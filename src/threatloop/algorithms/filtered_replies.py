"""What defences of text share: whom a prompt is from, and how what is written is withheld or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import InputError
from threatloop.core.service import Speaking
from threatloop.modality.conversation import Chat, Record, Turn, read, write

WITHHELD = "I'm sorry, but I can't help with that."
"""In place of a reply; judges of refusals know it for one."""
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Bias = Sequence[Mapping[int, float]]


def said_by_user(record: Record) -> str:
    """What the user says in a record, a line for each turn; all of a document."""
    if isinstance(record, str):
        return record
    return "\n".join(turn.content for turn in record if turn.role == "user")


def with_last_question(record: Record, change: Callable[[str], str]) -> Record:
    """The record with another last turn of the user, or another document."""
    if isinstance(record, str):
        return change(record)
    last = max((i for i, turn in enumerate(record) if turn.role == "user"), default=None)
    changed: Chat = tuple(Turn(t.role, change(t.content)) if i == last else t for i, t in enumerate(record))
    return changed


def even(log_probs: Floats) -> Floats:
    """As many distributions that say nothing."""
    return np.full_like(log_probs, -np.log(log_probs.shape[1]))


@dataclass(frozen=True)
class Screened:
    """A model that is not asked some prompts: they get `WITHHELD`, and distributions that say nothing.

    Attributes:
        inner: the model.
        blocked: prompts (n, ...) to bool (n,).
    """

    inner: Speaking
    blocked: Callable[[npt.NDArray[Any]], Mask]

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `Speaking`."""
        open_rows = np.flatnonzero(~self.blocked(x))
        found = [WITHHELD] * len(x)
        if len(open_rows):
            said = self.inner.replies(x[open_rows], tokens, temperature, seed)
            for row, reply in zip(open_rows, said, strict=True):
                found[row] = reply
        return found

    def next_log_probs(self, x: npt.NDArray[Any], bias: Bias | None = None) -> Floats:
        """See `Speaking`."""
        found = self.inner.next_log_probs(x, bias)
        return np.where(self.blocked(x)[:, None], even(found), found)


@dataclass(frozen=True)
class Edited:
    """A model whose replies are changed before anyone reads them.

    Attributes:
        inner: the model.
        edit: a prompt's record and the reply, to what is shown.
        hides: prompts (n, ...) to bool (n,): behind which of them not even the next token is shown; None for none.
    """

    inner: Speaking
    edit: Callable[[Record, str], str]
    hides: Callable[[npt.NDArray[Any]], Mask] | None = None

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        """See `Speaking`."""
        said = self.inner.replies(x, tokens, temperature, seed)
        return [self.edit(record, reply) for record, reply in zip(read(x), said, strict=True)]

    def next_log_probs(self, x: npt.NDArray[Any], bias: Bias | None = None) -> Floats:
        """See `Speaking`."""
        found = self.inner.next_log_probs(x, bias)
        return found if self.hides is None else np.where(self.hides(x)[:, None], even(found), found)


def patiently(
    inner: Speaking, records: Sequence[Record], tokens: int, temperature: float, seed: int | None
) -> list[str]:
    """Replies to records that a defence made longer; `WITHHELD` where a model cannot read one of them any more."""

    def asked(some: Sequence[Record]) -> list[str]:
        return inner.replies(write(some), tokens, temperature, seed)

    try:
        return asked(records)
    except InputError:
        return [_one(asked, record) for record in records]


def patiently_next(inner: Speaking, records: Sequence[Record], bias: Bias | None, x: npt.NDArray[Any]) -> Floats:
    """Next-token log-probabilities behind records that a defence made longer; nothing is said where one is too long.

    Args:
        inner: the model.
        records: as many as there are rows in ``x``.
        bias: as for `Speaking.next_log_probs`.
        x: what was asked, which the model can read.
    """
    try:
        return inner.next_log_probs(write(records), bias)
    except InputError:
        found = even(inner.next_log_probs(x))
    for row, record in enumerate(records):
        with suppress(InputError):
            found[row] = inner.next_log_probs(write([record]), None if bias is None else bias[row : row + 1])[0]
    return found


def _one(asked: Callable[[Sequence[Record]], list[str]], record: Record) -> str:
    try:
        return asked([record])[0]
    except InputError:
        return WITHHELD
