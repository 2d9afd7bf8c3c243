"""Texts as search sees them: without markup and addresses, as stems."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from threatloop.core.errors import InputError

INSTALL = "pip install 'threatloop[threats]'"
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()\s]*\)")
_TAG = re.compile(r"<[a-zA-Z/][^<>]{0,2000}>")
_ADDRESS = re.compile(r"https?://\S+")


def plain(text: str) -> str:
    """One line without tags and addresses; of a Markdown link its words stay."""
    bare = html.unescape(_TAG.sub(" ", _LINK.sub(r"\1", text)))
    return " ".join(_ADDRESS.sub(" ", bare).split())


def stems(texts: Sequence[str]) -> list[list[str]]:
    """The stems of each text's words (Porter's second English stemmer), without stop words and single letters.

    Raises:
        InputError: a library is not installed.
    """
    bm25s, stemmer = libraries()
    found: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
    )
    return found


@cache
def libraries() -> tuple[Any, Any]:
    """The module of BM25, and the stemmer.

    Raises:
        InputError: one is not installed.
    """
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        raise InputError(f"mapping to ATLAS needs {error.name}: {INSTALL}") from None
    return bm25s, Stemmer.Stemmer("english")
