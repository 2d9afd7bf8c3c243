"""Which of the replies to many questions is the secret prompt: the one that others agree with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.judges import refuses
from threatloop.numerics.common_words import likeness

Floats = npt.NDArray[np.float64]
Texts = Sequence[Sequence[str]]
CLOSEST = 2
"""Other replies that one must agree with."""


def agreement(texts: Texts) -> Floats:
    """By how much more each reply agrees with others of its deployment than with other deployments' to that question.

    A prompt is said in answer to several questions, and by its own deployment alone; what is said once, or wherever
    that question is asked, is no secret. The `CLOSEST` replies of its deployment count, since most questions may fail;
    and of other deployments the median, since some prompts are worded alike.

    Args:
        texts: of every deployment what was read in reply to each question, in one order; "" where nothing was.

    Returns:
        (deployments, questions), in [−1, 1]; −∞ for what is empty or refuses.
    """
    found = np.full((len(texts), max(map(len, texts), default=0)), -np.inf)
    for place, own in enumerate(texts):
        usable = [i for i in range(len(own)) if own[i].strip() and not refuses([own[i]])[0]]
        for i in usable:
            beside = [likeness(own[i], own[j]) for j in usable if j != i]
            elsewhere = [likeness(own[i], there[i]) for k, there in enumerate(texts) if k != place and i < len(there)]
            closest = sorted(beside, reverse=True)[:CLOSEST]
            found[place, i] = (np.mean(closest) if closest else 0.0) - (np.median(elsewhere) if elsewhere else 0.0)
    return found


def chosen(texts: Texts) -> tuple[list[str], Floats]:
    """The reply of each deployment that most is agreed with, "" where none is usable; and its agreement."""
    scores = agreement(texts)
    if not scores.shape[1]:
        return [""] * len(texts), np.full(len(texts), -1.0)
    best = scores.argmax(axis=1)
    worth = scores[np.arange(len(texts)), best]
    guesses = [own[i] if np.isfinite(value) else "" for own, i, value in zip(texts, best, worth, strict=True)]
    return guesses, np.where(np.isfinite(worth), worth, -1.0)
