"""Text that ships with Python."""

from __future__ import annotations

import importlib
import importlib.util
import re
import string
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.core.digests import digest_file
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.data.source import Raw, Source

CHARACTERS = string.digits + string.ascii_letters + string.punctuation + " \n"
MODULE = "pydoc_data.topics"


class Text(Source):
    """The language reference that Python's ``help()`` prints, cut into windows of one length.

    All windows come from one pool and no two are equal, so that any random split of them is exchangeable: members
    and non-members differ in nothing but membership.

    Attributes:
        text: ``stdlib``.
        length: characters per record, each of one byte.
    """

    key: ClassVar[str] = "text"

    text: Literal["stdlib"]
    length: int = Field(default=64, ge=8, le=1024)
    public: bool = True

    def _paths(self) -> set[str]:
        return set()

    def _content(self, base: Path) -> str:  # noqa: ARG002
        found = importlib.util.find_spec(MODULE)
        if found is None or found.origin is None:
            raise InputError("text: this Python comes without pydoc_data; install its complete standard library")
        return digest_file(Path(found.origin))

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        topics: Any = importlib.import_module(MODULE)
        pool = "\n".join(topics.topics[name] for name in sorted(topics.topics))
        kept = "".join(c for c in re.sub(" +", " ", pool) if c in CHARACTERS).encode()
        windows = np.frombuffer(kept, np.uint8)[: len(kept) // self.length * self.length].reshape(-1, self.length)
        _, first = np.unique(windows, axis=0, return_index=True)
        x = windows[np.sort(first)]
        return Raw(x, np.zeros(len(x), dtype=np.int64), TextSchema(width=self.length))
