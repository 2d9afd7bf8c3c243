"""Character-level text that ships with Python."""

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
from threatloop.core.schema import TokenSchema
from threatloop.data.source import Raw, Source

PAD = "<pad>"
CHARACTERS = tuple(string.digits + string.ascii_letters + string.punctuation + " \n")
MODULE = "pydoc_data.topics"


class Text(Source):
    """The language reference that Python's ``help()`` prints, cut into windows of one length.

    All windows come from one pool and no two are equal, so that any random split of them is exchangeable: members
    and non-members differ in nothing but membership. One character is one token; id 0 is padding.

    Attributes:
        text: ``stdlib``.
        length: characters per record; the records' context.
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
        schema = TokenSchema(vocabulary=(PAD, *CHARACTERS), context=self.length)
        topics: Any = importlib.import_module(MODULE)
        pool = "\n".join(topics.topics[name] for name in sorted(topics.topics))
        ids = encode_text(re.sub(" +", " ", pool), schema)
        windows = ids[: len(ids) // self.length * self.length].reshape(-1, self.length)
        _, first = np.unique(windows, axis=0, return_index=True)
        x = windows[np.sort(first)]
        return Raw(x, np.zeros(len(x), dtype=np.int64), schema)


def encode_text(text: str, schema: TokenSchema) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """One int32 id per character that the vocabulary holds; the others are left out."""
    index = {character: i for i, character in enumerate(schema.vocabulary)}
    return np.array([index[c] for c in text if c in index], dtype=np.int32)
