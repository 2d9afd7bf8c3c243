"""Features as one sparse matrix: blocks for text, CWEs and structure, each of length about one per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from threatloop.threats.severity.folds import Rows
from threatloop.threats.severity.rows import Features
from threatloop.threats.severity.structure import DEGREE


class Block(StrEnum):
    """Kinds of features."""

    TEXT = "text"
    CWE = "CWE"
    STRUCTURE = "structure"
    DEGREE = "degree"


ALL = (Block.TEXT, Block.CWE, Block.STRUCTURE)
_WORD = r"(?u)\b[a-z][a-z_-]+\b"


@dataclass
class Encoder:
    """Fitted on training rows only.

    Attributes:
        blocks: which kinds of features are used; `Block.DEGREE` is the part of the structure that only counts.
    """

    blocks: tuple[Block, ...] = ALL

    def fit(self, features: Features, rows: Rows) -> Encoder:
        """Vocabulary, CWEs and scale of these rows; a block without any content is left out."""
        self._fitted: list[tuple[Block, Any]] = []
        self.names: list[tuple[Block, str]] = []
        for block in self.blocks:
            made = self._fit_block(block, features, rows)
            if made is not None:
                self._fitted.append((block, made))
                self.names += [(block, name) for name in _names(block, made, features)]
        return self

    def transform(self, features: Features, rows: Rows) -> sparse.csr_matrix:
        """Shape (rows, features), float64."""
        parts = [self._part(block, made, features, rows) for block, made in self._fitted]
        if not parts:
            return sparse.csr_matrix((len(rows), 0))
        return sparse.csr_matrix(sparse.hstack(parts))

    def _fit_block(self, block: Block, features: Features, rows: Rows) -> Any:
        if block is Block.TEXT:
            texts = [features.texts[row] for row in rows]
            vectorizer = TfidfVectorizer(
                sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english", token_pattern=_WORD
            )
            try:
                return vectorizer.fit(texts)
            except ValueError:  # no word is in two of the texts
                return None
        if block is Block.CWE:
            some = [_counts(features.cwes[row]) for row in rows]
            return DictVectorizer().fit(some) if any(some) else None
        return StandardScaler().fit(_columns(block, features)[rows])

    def _part(self, block: Block, made: Any, features: Features, rows: Rows) -> sparse.csr_matrix:
        if block is Block.TEXT:
            return made.transform([features.texts[row] for row in rows])
        if block is Block.CWE:
            return made.transform([_counts(features.cwes[row]) for row in rows])
        scaled = made.transform(_columns(block, features)[rows])
        return sparse.csr_matrix(scaled / np.sqrt(max(1, scaled.shape[1])))


def _counts(cwes: Sequence[str]) -> dict[str, float]:
    return {cwe: 1 / np.sqrt(len(cwes)) for cwe in cwes}


def _columns(block: Block, features: Features) -> Any:
    values = features.structure.values
    return values[:, : len(DEGREE)] if block is Block.DEGREE else values


def _names(block: Block, made: Any, features: Features) -> list[str]:
    if block in (Block.TEXT, Block.CWE):
        return [str(name) for name in made.get_feature_names_out()]
    return list(DEGREE if block is Block.DEGREE else features.structure.names)
