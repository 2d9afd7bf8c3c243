"""What a server of OpenAI's protocol sends, which is not trusted: replies, likeliest tokens, scores of given texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import NotAssessable
from threatloop.modality.conversation import SEPARATOR
from threatloop.models.wire import EndpointError

NUMBERED = "token_id:"
"""How a server names tokens by number."""
HIGHEST = 1e-3
"""Above 0 a log-probability may lie by rounding."""
LOWEST = -1e4
"""What servers send for −∞ (−9999, say) lies above; anything below is no log-probability."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """A part of a text whose tokens count, with the token behind it.

    Attributes:
        start, end: in characters.
    """

    start: int
    end: int


def reply_in(answered: Any, where: str) -> str:
    """The text of the first choice; the empty one where the server withholds it.

    Raises:
        EndpointError: there is no text.
    """
    try:
        choice = answered["choices"][0]
        message = choice["message"] if "message" in choice else {"content": choice["text"]}
        found = message.get("content")
        found = message.get("refusal") or "" if found is None else found
    except (KeyError, TypeError, IndexError, AttributeError):
        found = None
    if not isinstance(found, str):
        raise EndpointError(f"{where}: no text in its answer; check that it serves OpenAI's protocol")
    # What stands for nothing in a record, or is no UTF-8, cannot be part of a text here.
    return found.replace(SEPARATOR, "").replace("\0", "").encode(errors="replace").decode()


def likeliest_in(answered: Any) -> list[tuple[str, float]]:
    """The first new token's likeliest candidates with their log-probabilities; none where the server shows none."""
    try:
        shown = answered["choices"][0]["logprobs"]
        if "content" in shown:
            found = [(one["token"], one["logprob"]) for one in shown["content"][0]["top_logprobs"]]
        else:
            found = list(shown["top_logprobs"][0].items())
    except (KeyError, TypeError, IndexError, AttributeError):
        return []
    return found if all(isinstance(name, str) and _is_log_prob(value) for name, value in found) else []


def all_of(likeliest: Sequence[tuple[str, float]], vocabulary: int, where: str) -> Floats:
    """Log-probabilities of the whole vocabulary, float32 (vocabulary,).

    Raises:
        NotAssessable: some are missing.
        EndpointError: tokens are not named by number.
    """
    found = np.full(vocabulary, np.nan, np.float32)
    for name, value in likeliest:
        number = name.removeprefix(NUMBERED)
        if not name.startswith(NUMBERED) or not number.isascii() or not number.isdigit() or int(number) >= vocabulary:
            raise EndpointError(f"{where}: names no tokens by number below {vocabulary}; leave `vocabulary` out")
        found[int(number)] = value
    if missing := int(np.isnan(found).sum()):
        raise NotAssessable(
            f"needs the log-probabilities of all {vocabulary} tokens; the endpoint shows {vocabulary - missing} of them"
        )
    return found


def scores_in(answered: Any, text: str, where: str) -> tuple[Floats, list[int]]:
    """Log-probabilities of a text's tokens, NaN where the server gives none, and the characters where they begin.

    Raises:
        EndpointError: it echoes another text, or its numbers are none.
    """
    try:
        choice = answered["choices"][0]
        shown, echoed = choice["logprobs"], choice["text"]
        values, starts = list(shown["token_logprobs"]), list(shown["text_offset"])
    except (KeyError, TypeError, IndexError):
        raise EndpointError(f"{where}: no scores of the text in its answer") from None
    if not isinstance(echoed, str) or not echoed.startswith(text):
        raise EndpointError(f"{where}: does not echo the text that it was sent")
    whole = all(isinstance(one, int) and one >= 0 for one in starts) and len(starts) == len(values)
    if not whole or any(first > second for first, second in pairwise(starts)):
        raise EndpointError(f"{where}: its `text_offset` does not say where tokens begin")
    starts = _begins(shown.get("tokens"), echoed, starts)
    count = _sent(answered, sum(start < len(text) for start in starts), len(starts))
    given = values[:count]
    if not count or not all(_is_log_prob(one) or (i == 0 and one is None) for i, one in enumerate(given)):
        raise EndpointError(f"{where}: its `token_logprobs` are not all log-probabilities")
    return np.array([math.nan if one is None else one for one in given], np.float32), starts[:count]


def _sent(answered: Any, otherwise: int, most: int) -> int:
    """How many tokens the text had, as the server counts."""
    usage = answered.get("usage")
    found = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return found if isinstance(found, int) and 0 < found <= most else otherwise


def _begins(tokens: Any, text: str, starts: list[int]) -> list[int]:
    """Where tokens begin, by their own texts where these make up the whole; servers count a token put before it."""
    if not isinstance(tokens, list) or len(tokens) != len(starts) or not all(isinstance(one, str) for one in tokens):
        return starts
    joined = "".join(tokens)
    if not joined.endswith(text):
        return starts
    ends = np.cumsum([0, *map(len, tokens[:-1])]) - (len(joined) - len(text))
    return [int(one) for one in ends]


def counted(scores: Floats, starts: Sequence[int], spans: Sequence[Span] | None) -> Floats:
    """Scores of the tokens that count, in order: all but the first of a document, and of a conversation the spans'."""
    if spans is None:
        return scores[1:]
    begins, wanted = np.asarray(starts), np.zeros(len(scores), np.bool_)
    for span in spans:
        inside = np.flatnonzero((begins >= span.start) & (begins < span.end))
        behind = np.flatnonzero(begins >= span.end)[:1]
        wanted[inside] = wanted[behind] = True
    wanted[0] = False
    return scores[wanted]


def _is_log_prob(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and LOWEST <= value <= HIGHEST
