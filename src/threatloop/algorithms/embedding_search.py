"""A search for texts whose embeddings are those of a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from threatloop.algorithms.text_edits import Neighbours, Words, edits
from threatloop.algorithms.word_decoder import WordDecoder
from threatloop.core.errors import BudgetExhausted
from threatloop.core.retrieval import Vectors, VectorStore

CLOSE = 0.9999
"""A cosine from which on nothing is left to find."""
WANTED = 12
"""Words that are tried at a time."""
PATIENCE = 4
"""Rounds without a better text after which a document is left alone."""


@dataclass
class Found:
    """The best texts for one document so far.

    Attributes:
        beam: texts and their cosines with the document, the best first.
        vectors: their embeddings.
        idle: rounds without a better text.
        seen: texts that were tried.
    """

    beam: list[tuple[Words, float]]
    vectors: Vectors
    idle: int = 0
    seen: set[Words] = field(default_factory=set)

    @property
    def best(self) -> str:
        return " ".join(self.beam[0][0])

    def take(self, texts: Sequence[Words], vectors: Vectors, wanted: Vectors, width: int) -> None:
        """Keep the ``width`` best of what there is and of these."""
        scored = [*self.beam, *((text, float(v @ wanted)) for text, v in zip(texts, vectors, strict=True))]
        whole = np.concatenate([self.vectors, vectors])
        order = sorted(range(len(scored)), key=lambda i: -scored[i][1])[:width]
        self.idle = 0 if scored[order[0]][1] > self.beam[0][1] + 1e-6 else self.idle + 1
        self.beam, self.vectors = [scored[i] for i in order], whole[order]


@dataclass
class Search:
    """What all documents share.

    Attributes:
        store: what was taken.
        decoder: words of embeddings.
        known: which words go together.
        candidates: texts tried for each document in a round.
        width: texts that are kept.
        rng: draws edits.
    """

    store: VectorStore
    decoder: WordDecoder
    known: Neighbours
    candidates: int
    width: int
    rng: np.random.Generator

    def round(self, found: Sequence[Found], keep: Callable[[], None]) -> bool:
        """Change the texts of all documents that are not found yet; whether any is left.

        Raises:
            BudgetExhausted: after the last text that the budget allowed.
        """
        open_rows = [i for i, one in enumerate(found) if one.beam[0][1] < CLOSE and one.idle < PATIENCE]
        tried = {i: self._candidates(found[i], self.store.vectors[i]) for i in open_rows}
        texts = [(i, words) for i in open_rows for words in tried[i]]
        left = self.store.ledger.left
        asked = texts if left is None else texts[:left]
        if asked:
            vectors = self.store.embed([" ".join(words) for _, words in asked])
            for i in open_rows:
                rows = [k for k, (owner, _) in enumerate(asked) if owner == i]
                found[i].take([asked[k][1] for k in rows], vectors[rows], self.store.vectors[i], self.width)
            keep()
        if len(asked) < len(texts):
            raise BudgetExhausted(f"{len(texts) - len(asked)} more texts would pass the limit")
        return bool(texts)

    def _candidates(self, one: Found, wanted: Vectors) -> list[Words]:
        found: list[Words] = []
        each = max(1, self.candidates // len(one.beam))
        for (words, _), vector in zip(one.beam, one.vectors, strict=True):
            gain = self.decoder.change((wanted - vector).astype(np.float64)[None])[0]
            # Some of the draw's noise, so that a round that failed is not repeated.
            noisy = gain + self.rng.normal(scale=0.5 * one.idle * (gain.std() or 1.0), size=len(gain))
            more = [self.decoder.words[i] for i in np.argsort(-noisy)[:WANTED]]
            places = {word: i for i, word in enumerate(self.decoder.words)}
            less = sorted(set(words), key=lambda word: gain[places[word]] if word in places else 0.0)
            new = [e for e in edits(words, more, less, self.known, 4 * each, self.rng) if e not in one.seen]
            found += new[:each]
            one.seen.update(new[:each])
        return found
