"""How well a language model predicts the tokens of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from threatloop.modality.text import SCORES
from threatloop.models.language.codecs import Tokens, padded, too_long
from threatloop.models.language.language import Language

TOKENS_AT_ONCE = 2048
"""Of a batch, padding included."""
LOGITS_AT_ONCE = 1 << 22
"""Numbers of one piece of logits: 16 MB, of which scoring and training hold a few."""


def token_scores(language: Language, tokens: Sequence[Tokens], width: int) -> npt.NDArray[np.float32]:
    """Scores of every token that counts, in order, float32 (n, width, `SCORES`); NaN after the last.

    Log-probability of the token, then mean and standard deviation of the log-probability over the vocabulary at its
    place, under the model's own distribution (Zhang et al. 2024, "Min-K%++", arXiv 2404.02936, section 4).

    Raises:
        InputError: a record is longer than the model's context, or has more counted tokens than ``width``.
    """
    too_long(tokens, language.context)
    found = np.full((len(tokens), width, SCORES), np.nan, np.float32)
    with torch.inference_mode():
        for rows in batches([len(one.ids) for one in tokens]):
            ids = padded([tokens[row].ids for row in rows], language.codec.pad).to(language.device)
            wanted = wanted_places([tokens[row] for row in rows], ids.shape[1]).to(language.device)
            scores = _scores(language, language.hidden(ids)[:, :-1][wanted], ids[:, 1:][wanted]).cpu().numpy()
            ends = np.cumsum(wanted.sum(dim=1).cpu().numpy())
            for row, start, end in zip(rows, [0, *ends[:-1]], ends, strict=True):
                found[row, : end - start] = scores[start:end]
    return found


def batches(lengths: Sequence[int], most: int = TOKENS_AT_ONCE) -> Iterator[list[int]]:
    """Positions of texts of similar length, of at most ``most`` tokens together with their padding; one at least."""
    batch = list[int]()
    for row in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[row] > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def wanted_logits(language: Language, tokens: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (m, vocabulary) before every token that counts, their ids (m,), and whose they are (m,)."""
    states, following, owners = wanted_states(language, tokens)
    return language.project(states).float(), following, owners


def wanted_states(language: Language, tokens: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States (m, width) before every token that counts, the ids of those (m,), and whose they are (m,)."""
    ids = padded([one.ids for one in tokens], language.codec.pad).to(language.device)
    wanted = wanted_places(tokens, ids.shape[1]).to(language.device)
    owners = torch.arange(len(tokens), device=language.device)[:, None].expand_as(wanted)[wanted]
    return language.hidden(ids)[:, :-1][wanted], ids[:, 1:][wanted], owners


def pieces(count: int, language: Language) -> Iterator[slice]:
    """Runs of ``count`` states, each of which has `LOGITS_AT_ONCE` logits at most; one state at least."""
    step = max(1, LOGITS_AT_ONCE // language.codec.size)
    return (slice(start, start + step) for start in range(0, count, step))


def wanted_places(tokens: Sequence[Tokens], longest: int) -> torch.Tensor:
    """Positions whose next token counts, bool (n, longest − 1)."""
    found = torch.zeros((len(tokens), longest), dtype=torch.bool)
    for row, one in zip(found, tokens, strict=True):
        row[: len(one.counted)] = torch.tensor(one.counted)
    return found[:, 1:]


def _scores(language: Language, hidden: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    parts = [
        _scored(language.project(hidden[piece]).float(), following[piece]) for piece in pieces(len(hidden), language)
    ]
    return torch.cat(parts) if parts else hidden.new_zeros((0, SCORES))


def _scored(logits: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    log_probs = torch.log_softmax(logits, 1)
    probs = log_probs.exp()
    mean = (probs * log_probs).sum(1)
    spread = ((log_probs - mean[:, None]) ** 2 * probs).sum(1).sqrt()
    return torch.stack([log_probs.gather(1, following[:, None])[:, 0], mean, spread], 1)
