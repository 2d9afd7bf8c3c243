"""A search for texts whose embeddings are those of a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.nearest_texts import Corpus
from threatloop.algorithms.text_edits import Neighbours, Words, edits
from threatloop.algorithms.word_decoder import WordDecoder
from threatloop.core.errors import BudgetExhausted
from threatloop.core.retrieval import Vectors, VectorStore

CLOSE = 0.9999
"""A cosine from which on nothing is left to find."""
WANTED = 12
"""Words that are tried at a time."""
PATIENCE = 6
"""Rounds without a better text after which the search for a document begins anew."""
LENGTH = 0.05
"""What a text loses that is twice as long as expected: repeating a text hardly turns its embedding."""


@dataclass
class Found:
    """The best texts for one document so far.

    Attributes:
        beam: texts and their cosines with the document, the best first; empty where the search begins anew.
        vectors: their embeddings, (beam, width).
        size: words that the document is expected to have, ≥ 1.
        top: the best text of all, with its cosine.
        idle: rounds without a better text since the last beginning.
        seen: texts that were tried.
    """

    beam: list[tuple[Words, float]]
    vectors: Vectors
    size: int
    top: tuple[Words, float]
    idle: int = 0
    seen: set[Words] = field(default_factory=set)

    @property
    def best(self) -> str:
        return " ".join(self.top[0])

    def take(self, texts: Sequence[Words], vectors: Vectors, wanted: Vectors, width: int) -> None:
        """Keep the ``width`` best of what there is and of these."""
        scored = [*self.beam, *((text, float(v @ wanted)) for text, v in zip(texts, vectors, strict=True))]
        if not scored:
            return
        before, whole = max(map(self._worth, self.beam), default=-np.inf), np.concatenate([self.vectors, vectors])
        order = sorted(range(len(scored)), key=lambda i: -self._worth(scored[i]))[:width]
        self.beam, self.vectors = [scored[i] for i in order], whole[order]
        self.idle = 0 if self._worth(self.beam[0]) > before + 1e-6 else self.idle + 1
        self.top = max(self.top, self.beam[0], key=self._worth)

    def begin_anew(self) -> None:
        """Forget all but the best text."""
        self.beam, self.vectors, self.idle = [], self.vectors[:0], 0

    def _worth(self, scored: tuple[Words, float]) -> float:
        return scored[1] - LENGTH * abs(len(scored[0]) - self.size) / self.size


def begun(vectors: Vectors, near: npt.NDArray[np.int64], corpus: Corpus, decoder: WordDecoder) -> list[Found]:
    """The attacker's own texts at positions ``near`` (n, beam) as what documents (n, width) are searched from."""
    found = []
    for wanted, rows, size in zip(vectors, near, decoder.sizes(vectors), strict=True):
        beam = [(tuple(corpus.texts[i].split()), float(corpus.vectors[i] @ wanted)) for i in rows]
        found.append(Found(beam, corpus.vectors[rows], int(size), beam[0], seen={words for words, _ in beam}))
    return found


@dataclass(frozen=True)
class Asked:
    """The store as the search sees it.

    Attributes:
        store: what was taken.
        corpus: whose view of vectors is taken.
        wanted: the stolen vectors in that view, (n, width).
    """

    store: VectorStore
    corpus: Corpus
    wanted: Vectors

    @property
    def left(self) -> int | None:
        """Texts that may still be embedded; None for any number."""
        return self.store.ledger.left

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Texts in that view, (m, width)."""
        return self.corpus.seen(self.store.embed(texts))


@dataclass
class Search:
    """What all documents share.

    Attributes:
        ask: the store.
        decoder: words of embeddings.
        known: which words go together.
        candidates: texts tried for each document in a round.
        width: texts that are kept.
        rng: draws edits.
    """

    ask: Asked
    decoder: WordDecoder
    known: Neighbours
    candidates: int
    width: int
    rng: np.random.Generator

    def start(self, found: Sequence[Found], keep: Callable[[], None]) -> None:
        """Try the likeliest words of every document, without an order, as a text.

        Raises:
            BudgetExhausted: after the last text that the budget allowed.
        """
        bags = self.decoder.bags(self.ask.wanted)
        self._try(found, {i: [tuple(bag.split())] for i, bag in enumerate(bags)}, keep)

    def round(self, found: Sequence[Found], keep: Callable[[], None]) -> bool:
        """Change the texts of all documents that are not found yet; whether any is left.

        Raises:
            BudgetExhausted: after the last text that the budget allowed.
        """
        open_rows = [i for i, one in enumerate(found) if one.top[1] < CLOSE]
        for i in open_rows:
            if found[i].idle >= PATIENCE:
                found[i].begin_anew()
        self._try(found, {i: self._candidates(found[i], self.ask.wanted[i]) for i in open_rows}, keep)
        return bool(open_rows)

    def _try(self, found: Sequence[Found], tried: Mapping[int, Sequence[Words]], keep: Callable[[], None]) -> None:
        texts = [(i, words) for i, some in tried.items() for words in some]
        left = self.ask.left
        asked = texts if left is None else texts[:left]
        if asked:
            vectors = self.ask.embed([" ".join(words) for _, words in asked])
            for i in tried:
                rows = [k for k, (owner, _) in enumerate(asked) if owner == i]
                found[i].take([asked[k][1] for k in rows], vectors[rows], self.ask.wanted[i], self.width)
            keep()
        if len(asked) < len(texts):
            raise BudgetExhausted(f"{len(texts) - len(asked)} more texts would pass the limit")

    def _candidates(self, one: Found, wanted: Vectors) -> list[Words]:
        if not one.beam:
            return self._afresh(one, wanted)
        found: list[Words] = []
        each = max(1, self.candidates // len(one.beam))
        for (words, _), vector in zip(one.beam, one.vectors, strict=True):
            gain = self.decoder.change((wanted - vector).astype(np.float64)[None])[0]
            # With the draw's noise, so that a round that failed is not repeated.
            noisy = gain + self.rng.normal(scale=0.5 * one.idle * (gain.std() or 1.0), size=len(gain))
            more = [self.decoder.words[i] for i in np.argsort(-noisy)[:WANTED]]
            less = sorted(set(words), key=lambda word: gain[self.decoder.places.get(word, 0)])
            new = [e for e in edits(words, more, less, self.known, self.rng) if e not in one.seen]
            kept = new[: each // 2]
            kept += [new[each // 2 + i] for i in self.rng.permutation(len(new) - len(kept))[: each - len(kept)]]
            found += kept
            one.seen.update(kept)
        return found

    def _afresh(self, one: Found, wanted: Vectors) -> list[Words]:
        """Orders of the words that are expected, and of those of the best text, each once."""
        expected = self.decoder.bags(wanted[None])[0].split()
        words = list(dict.fromkeys([*one.top[0], *expected]))
        draws = [self.rng.permutation(len(words)) for _ in range(self.candidates)]
        sizes = np.maximum(1, one.size + self.rng.integers(-1, 2, size=len(draws)))
        found = [tuple(words[i] for i in order[:size]) for order, size in zip(draws, sizes, strict=True)]
        new = [text for text in dict.fromkeys(found) if text not in one.seen] or found[:1]
        one.seen.update(new)
        return new
