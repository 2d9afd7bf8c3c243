"""Texts as search sees them - without markup and addresses, as stems - and BM25 over them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

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


class Bm25:
    """BM25 (Robertson, Zaragoza 2009) of queries against texts, all as stems."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        bm25s, _ = libraries()
        self._index = bm25s.BM25()
        self._index.index([list(words) for words in texts], show_progress=False)
        self._count = len(texts)

    @property
    def words(self) -> frozenset[str]:
        """All stems of the texts."""
        return frozenset(self._index.vocab_dict) - {""}

    def scores(self, queries: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
        """Shape (queries, texts); 0 without a common stem."""
        found = np.zeros((len(queries), self._count))
        for row, words in enumerate(queries):
            known = [word for word in words if word in self._index.vocab_dict]
            if known:
                found[row] = self._index.get_scores(known)
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
        raise InputError(f"searching by words needs {error.name}: {INSTALL}") from None
    return bm25s, Stemmer.Stemmer("english")
