"""Answers to random prompts about the next token, whole or through a keyhole of the likeliest few."""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt

from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service
from threatloop.modality.conversation import write

Floats = npt.NDArray[np.float32]

SHORTEST, LONGEST = 4, 12
"""Characters of a random prompt."""
CHARACTERS = np.array(list(string.ascii_letters + string.digits + string.punctuation + " "))
AT_ONCE = 64
"""Prompts of one request."""
REFERENCE = 0
"""The token to which all others are compared where answers are seen in part."""


def random_prompts(n: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Documents of random characters as records, uint8 (n, width)."""
    longest = min(LONGEST, width)
    lengths = rng.integers(min(SHORTEST, longest), longest + 1, n)
    return write(["".join(rng.choice(CHARACTERS, length)) for length in lengths], width)


def whole(service: Service, prompts: npt.NDArray[np.uint8]) -> Floats:
    """Log-probabilities of every token behind each prompt, float32 (n, vocabulary); one query each.

    Raises:
        NotAssessable: some are withheld.
    """
    found = np.empty((len(prompts), 0), np.float32)
    for start in range(0, len(prompts), AT_ONCE):
        answers = service.next_log_probs(prompts[start : start + AT_ONCE])
        if not np.isfinite(answers).all():
            shown = int(np.isfinite(answers).sum(axis=1).min())
            raise NotAssessable(
                f"answers show the log-probabilities of {shown} of {answers.shape[1]} tokens; ask for them by bias "
                "(answers: top)"
            )
        if start == 0:
            found = np.empty((len(prompts), answers.shape[1]), np.float32)
        found[start : start + AT_ONCE] = answers
    return found


def queries_each(tokens: int, top: int) -> int:
    """Queries that `uncovered` takes for one prompt."""
    return -(-(tokens - 1) // (top - 1))


def uncovered(service: Service, prompts: npt.NDArray[np.uint8], tokens: int, top: int, bias: float) -> Floats:
    """Logits of every token less that of `REFERENCE`, float32 (n, tokens), of answers that show only the likeliest few.

    A bias on ``top`` tokens, the reference always among them, makes them the likeliest; it is the same for all, so that
    it drops out of their differences, as the normaliser does (Carlini et al. 2024, arXiv 2403.06634, section 5.1).
    `queries_each` queries for each prompt.

    Args:
        service: grants log-probabilities.
        prompts: records, (n, width).
        tokens: of the vocabulary.
        top: tokens whose log-probabilities are shown, ≥ 2.
        bias: that is added to a logit, > 0.

    Raises:
        NotAssessable: the bias does not bring these tokens to the top.
    """
    others = np.delete(np.arange(tokens), REFERENCE)
    groups = [np.append(part, REFERENCE) for part in np.split(others, range(top - 1, len(others), top - 1))]
    found = np.zeros((len(prompts), tokens), np.float32)
    asked = [(row, group) for row in range(len(prompts)) for group in groups]
    for start in range(0, len(asked), AT_ONCE):
        part = asked[start : start + AT_ONCE]
        biases = [{int(token): bias for token in group} for _, group in part]
        answers = service.next_log_probs(prompts[[row for row, _ in part]], biases)
        for (row, group), answer in zip(part, answers, strict=True):
            _seen(answer, group, top)
            found[row, group] = answer[group] - answer[REFERENCE]
    return found


def _seen(answer: Floats, group: npt.NDArray[np.int64], top: int) -> None:
    """That all tokens of a group are among the ``top`` likeliest."""
    shown = np.where(np.isnan(answer), -np.inf, answer)
    if not np.isfinite(shown[group]).all() or (shown > shown[group].min()).sum() >= top:
        raise NotAssessable("the bias does not bring the tokens asked for to the top; a larger one is needed")
