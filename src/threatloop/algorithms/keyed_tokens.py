"""Numbers that a key gives to tokens: one for every token that may follow the last few."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
_STRIDE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class KeyedTokens:
    """Uniform numbers in (0, 1), each a function of key, context and token alone.

    The key goes through BLAKE2; contexts and tokens are then mixed by the finaliser of SplitMix64 (Steele, Lea & Flood
    2014, "Fast splittable pseudorandom number generators"), which is fast over whole vocabularies and no cipher: it
    does not stand against an attacker who works the key out from numbers that he has seen.

    Attributes:
        key: the owner's.
        width: tokens of a context, ≥ 1.
    """

    key: bytes
    width: int

    def states(self, contexts: npt.ArrayLike) -> Words:
        """One word (m,) for each context, ids (m, width)."""
        found = np.frombuffer(hashlib.blake2b(self.key, digest_size=8, person=b"text-mark").digest(), np.uint64)
        ids = np.asarray(contexts, np.int64).astype(np.uint64).reshape(-1, self.width)
        found = np.repeat(found, len(ids))
        for column in ids.T:
            found = _mixed(found ^ _mixed((column + np.uint64(1)) * _STRIDE))
        return found

    def words(self, states: Words, tokens: npt.ArrayLike) -> Words:
        """One word for each token behind its state; shapes broadcast."""
        ids = np.asarray(tokens, np.int64).astype(np.uint64)
        return _mixed(states + (ids + np.uint64(1)) * _STRIDE)

    def uniforms(self, words: Words) -> Floats:
        """Words as numbers in (0, 1)."""
        return np.asarray(((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)


@dataclass(frozen=True)
class Grams:
    """Tokens with what stands before them, each gram once in a text.

    Attributes:
        words: (m,), of the token behind its context.
        owners: int64 (m,), the text that it is in.
        texts: number of texts.
    """

    words: Words
    owners: npt.NDArray[np.int64]
    texts: int

    def together(self) -> Grams:
        """All texts as one, each gram once."""
        words = np.unique(self.words)
        return Grams(words, np.zeros(len(words), np.int64), 1)


def grams_of(texts: Sequence[Sequence[int]], scored: Sequence[Sequence[bool]], keyed: KeyedTokens) -> Grams:
    """The grams of every text at the places that are scored and have a whole context; repeated ones count once.

    A repeated gram has one number, so counting it again would make chance look like evidence (Kirchenbauer et al. 2023,
    arXiv 2301.10226, section 4.1).
    """
    words, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for row, (ids, wanted) in enumerate(zip(texts, scored, strict=True)):
        places = np.flatnonzero(np.asarray(wanted, np.bool_)[keyed.width :])
        if len(places):
            whole = np.asarray(ids, np.int64)
            contexts = np.lib.stride_tricks.sliding_window_view(whole, keyed.width)[places]
            found = np.unique(keyed.words(keyed.states(contexts), whole[places + keyed.width]))
            words.append(found)
            owners.append(np.full(len(found), row))
    return Grams(np.concatenate(words), np.concatenate(owners), len(texts))


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))
