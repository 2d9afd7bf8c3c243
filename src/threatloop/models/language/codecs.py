"""From records to the tokens that one model reads, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from threatloop.core.errors import InputError
from threatloop.modality.conversation import MARK, Record, Turn, spelled


@dataclass(frozen=True)
class Tokens:
    """One record as a model reads it.

    Attributes:
        ids: of the tokens, in order.
        counted: which of them the model is to predict: all but the first of a document, and of a conversation what the
            assistant says and the token that ends it.
    """

    ids: tuple[int, ...]
    counted: tuple[bool, ...]


class Codec(ABC):
    """What cuts text into tokens.

    Attributes:
        size: of the vocabulary; ids are below it.
        pad: an id that stands where nothing is.
        ends: ids with which a reply ends.
    """

    size: int
    pad: int
    ends: frozenset[int]

    @abstractmethod
    def tokens(self, record: Record) -> Tokens:
        """A whole record.

        Raises:
            InputError: a conversation, and the tokenizer has no template for one.
        """

    @abstractmethod
    def prompt(self, record: Record) -> tuple[int, ...]:
        """A document's beginning, or a conversation up to where the assistant speaks."""

    @abstractmethod
    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, without those that only divide."""


class ByteCodec(Codec):
    """One byte is one token; for models that learn to read from nothing."""

    size, pad, ends = 256, 0, frozenset({MARK, 0})

    def tokens(self, record: Record) -> Tokens:
        """The bytes; in a conversation those of the assistant count, with the separator behind them."""
        ids = tuple(spelled(record).encode())
        if isinstance(record, str):
            return Tokens(ids, (False, *(True for _ in ids[1:])))
        counted = list[bool]()
        for turn in record:
            counted += [False, False, *(turn.role == "assistant" for _ in turn.content.encode())]
        ended = [bool(i and counted[i - 1]) if ids[i] == MARK else counted[i] for i in range(len(counted))]
        return Tokens(ids, (*ended, record[-1].role == "assistant"))

    def prompt(self, record: Record) -> tuple[int, ...]:
        """The bytes, and those with which the assistant begins."""
        if isinstance(record, str):
            return tuple(record.encode())
        return tuple(spelled((*record, Turn("assistant", ""))).encode())[:-1]

    def text(self, ids: Sequence[int]) -> str:
        """The bytes as UTF-8; what is none becomes the replacement character."""
        return bytes(i for i in ids if i not in self.ends).decode(errors="replace")


def padded(rows: Sequence[Sequence[int]], pad: int, *, left: bool = False) -> torch.Tensor:
    """Rows of ids as one tensor, int64 (n, longest), with ``pad`` behind them, or before them."""
    longest = max(map(len, rows), default=0)
    found = torch.full((len(rows), longest), pad, dtype=torch.int64)
    for row, ids in zip(found, rows, strict=True):
        if ids:
            place = slice(longest - len(ids), None) if left else slice(0, len(ids))
            row[place] = torch.tensor(ids, dtype=torch.int64)
    return found


def too_long(tokens: Sequence[Tokens], context: int, numbers: Sequence[int] | None = None) -> None:
    """Refuse records that a model cannot read; ``numbers`` of the records where they are not all.

    Raises:
        InputError: says how many there are, and which is the first.
    """
    over = [place for place, one in enumerate(tokens) if len(one.ids) > context]
    if over:
        first = over[0] if numbers is None else numbers[over[0]]
        raise InputError(
            f"{len(over)} records are longer than the model's context of {context} tokens (first: record {first}, "
            f"{len(tokens[over[0]].ids)} tokens); cut them, or raise `context` in the model's parameters"
        )
