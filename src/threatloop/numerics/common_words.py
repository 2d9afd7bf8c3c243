"""What two texts share in order: words (ROUGE-L) and characters."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without what stands between them."""
    return [match.group().lower() for match in WORD.finditer(text)]


def common_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Length of the longest sequence that both have in order, with gaps.

    Hyyrö 2004, "Bit-Parallel LCS-length Computation Revisited": one big-integer step for each item of ``second``.
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(first):
        places[item] = places.get(item, 0) | 1 << place
    whole = (1 << len(first)) - 1
    state = whole
    for item in second:
        matched = state & places.get(item, 0)
        state = ((state + matched) | (state - matched)) & whole
    return len(first) - state.bit_count()


def rouge_recall(true: str, said: str) -> float:
    """The share of a true text's words that another says in order, in [0, 1]; 0 of a text without words.

    Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3 (ROUGE-L).
    """
    wanted = words_of(true)
    return common_length(wanted, words_of(said)) / len(wanted) if wanted else 0.0


def likeness(first: str, second: str) -> float:
    """The F1 of ROUGE-L recall both ways, in [0, 1]; 0 where one has no words."""
    a, b = words_of(first), words_of(second)
    return 2 * common_length(a, b) / (len(a) + len(b)) if a and b else 0.0


def substring_share(true: str, said: str) -> float:
    """The longest run of characters that both have, as a share of the true text, in [0, 1]."""
    found = SequenceMatcher(None, true, said, autojunk=False).find_longest_match()
    return found.size / len(true) if true else 0.0
