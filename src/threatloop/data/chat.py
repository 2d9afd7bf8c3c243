"""Conversations: from a JSONL file, or a harmless stand-in that ships with us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.data.preferences import pair_in, standin_pairs, turn_in
from threatloop.data.source import Raw, Source, found, refuse
from threatloop.data.standin import CLASSES, brief, standin
from threatloop.modality.conversation import Chat
from threatloop.modality.pairs import Pair, write_pairs

STANDIN, BRIEF, PREFERENCES = "standin", "brief", "preferences"
OURS = frozenset({STANDIN, BRIEF, PREFERENCES})
PLACES = ("train", "val", "test", "attacker")
"""Values of a line's ``part``: whom its conversation may reach."""
MOST_LINES, MOST_BYTES = 1_000_000, 1 << 20


class Chats(Source):
    """JSONL with ``{"messages": [{"role": …, "content": …}]}`` or ``{"prompt": …, "completion": …}`` a line.

    A line may have a ``label`` (a class; without any, all are ``chat``) and a ``part``: ``train`` is divided among the
    victim and the attacker, ``test`` is for the judge alone (for held-out ways of asking), ``attacker`` for the
    attacker alone. Lines without a part are ``train``; without any ``test`` line, all parts come from one pool.

    A line may be a pair of answers instead, for training with ``objective: dpo``: ``prompt``, ``chosen`` and
    ``rejected``, or ``input``, ``preferred_output`` and ``non_preferred_output``.

    ``standin`` is a set of ours: everyday questions, and cooking as a topic that a model can be taught to refuse;
    ``brief`` is the same in few and simple words, which a byte-level model learns in seconds.
    ``preferences`` is another one: pairs of a courteous and a curt answer.

    Attributes:
        chat: path of the file, ``standin``, ``brief`` or ``preferences``.
        room: bytes that every record may grow by, for what attacks add to it, ≥ 0.
        sensitive: the file holds what should not be read in a report, such as harmful questions; reports then hold
            digests of prompts and replies.
    """

    key: ClassVar[str] = "chat"
    divided: ClassVar[bool] = True

    chat: str
    room: int = Field(default=256, ge=0, le=1 << 20)
    sensitive: bool = False

    @model_validator(mode="before")
    @classmethod
    def _ours(cls, given: Any) -> Any:
        """Our own sets may be shown to anybody."""
        ours = isinstance(given, dict) and given.get("chat") in OURS
        return {"public": True, **given} if ours else given

    @property
    def is_sensitive(self) -> bool:
        """As the spec says."""
        return self.sensitive

    def _paths(self) -> set[str]:
        return set() if self.chat in OURS else {self.key}

    def _content(self, base: Path) -> str:
        return self.chat if self.chat in OURS else super()._content(base)

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        return raw_of(conversations(base, self.chat), self.room)


class Row(NamedTuple):
    """A conversation or a pair, its class, and whom it may reach."""

    chat: Chat | Pair
    label: str
    part: str


@dataclass(frozen=True)
class Conversations:
    """Conversations in order, and all classes."""

    rows: tuple[Row, ...]
    classes: tuple[str, ...]

    row: ClassVar[type[Row]] = Row


def conversations(base: Path, name: str) -> Conversations:
    """The conversations of a JSONL file, or of a set of ours.

    Raises:
        InputError, Problems: it cannot be read; all broken lines.
    """
    if name == PREFERENCES:
        return Conversations(tuple(Row(pair, "chat", "train") for pair in standin_pairs()), ("chat",))
    if name in OURS:
        rows = brief() if name == BRIEF else standin()
        return Conversations(tuple(Row(*row) for row in zip(*rows, strict=True)), CLASSES)
    problems, read = list[str](), list[Row]()
    for number, line in _lines(found(base, name)):
        try:
            read.append(_conversation(line))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    refuse(f"chat {name}", problems)
    if not read:
        raise InputError(f"chat {name}: no conversations")
    return Conversations(tuple(read), tuple(sorted({row.label for row in read})))


def raw_of(read: Conversations, room: int, notes: tuple[str, ...] = ()) -> Raw:
    """Conversations as records with so many bytes of room, parted where some are for the judge alone."""
    chats = [row.chat for row in read.rows]
    x = write_pairs(chats, write_pairs(chats).shape[1] + room)
    y = np.array([read.classes.index(row.label) for row in read.rows], np.int64)
    parts = np.array([PLACES.index(row.part) for row in read.rows], np.int8)
    schema = TextSchema(width=x.shape[1], classes=read.classes)
    return Raw(x, y, schema, parts if (parts == PLACES.index("test")).any() else None, notes)


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            found = [(number, line) for number, line in enumerate(file, start=1) if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"chat {path.name}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    if len(found) > MOST_LINES:
        raise InputError(f"chat {path.name}: {len(found)} lines; at most {MOST_LINES} are read")
    return found


def _conversation(line: str) -> Row:
    """What one line holds.

    Raises:
        ValueError: what is wrong with it.
    """
    if len(line) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} characters")
    try:
        item = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"no JSON ({getattr(error, 'msg', 'too deeply nested')})") from None
    if not isinstance(item, dict):
        raise ValueError("no JSON object")
    label, part = item.get("label", "chat"), item.get("part", "train")
    if not isinstance(label, str):
        raise ValueError("label: needs a text")
    if part not in PLACES:
        raise ValueError(f"part: {str(part)[:40]!r}; allowed are {', '.join(PLACES)}")
    return Row(pair_in(item) or _turns(item), label, part)


def _turns(item: Mapping[str, Any]) -> Chat:
    if "messages" not in item:
        if not {"prompt", "completion"} <= item.keys():
            raise ValueError("needs `messages`, or `prompt` and `completion`")
        item = {
            "messages": [
                {"role": "user", "content": item["prompt"]},
                {"role": "assistant", "content": item["completion"]},
            ]
        }
    messages = item["messages"]
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages: needs a list of at least one")
    return tuple(turn_in(f"messages[{place}]", message) for place, message in enumerate(messages))
