"""A classifier of instructions: where a text speaks to whoever reads it for somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.planted_instructions import (
    FENCE,
    LAYOUTS,
    NEUTRAL,
    REQUESTS,
    hidden,
    instructions,
    quoted,
    runs,
    sentences,
    texts_of,
)
from threatloop.modality.conversation import Record, Turn

EXAMPLES = 300
"""Of each kind that a classifier learns from."""
FEWEST = 20
"""Own texts, or own prompts, below which nothing is learnt from them."""
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """Scores of short texts, and above which of them a text is flagged.

    Attributes:
        model: a pipeline of scikit-learn.
        threshold: on the score.
        window: sentences that are read together.
    """

    model: Any
    threshold: float
    window: int

    def scores(self, texts: Sequence[str]) -> Points:
        """The largest score of each text's sentences and runs of sentences, float64 (n,); −∞ of an empty text."""
        return _largest(self.model, texts, self.window)

    def without(self, text: str) -> str:
        """The text without the sentences that are flagged, alone or in a run."""
        parts, pieces = sentences(text), runs(text, self.window)
        if not pieces:
            return text
        scores = self.model.decision_function([piece for _, _, piece in pieces])
        gone = np.zeros(len(parts), np.bool_)
        # A sentence that is flagged alone explains every run that it stands in.
        for (start, end, _), score in sorted(zip(pieces, scores, strict=True), key=lambda one: one[0][1] - one[0][0]):
            if score > self.threshold and not gone[start:end].any():
                gone[start:end] = True
        return text if not gone.any() else " ".join(part for part, out in zip(parts, gone, strict=True) if not out)


def learnt(
    clean: Sequence[str], kept: Sequence[str], planted: Sequence[str], window: int, false_alarms: float
) -> Classifier:
    """Logistic regression on TF-IDF weights of words, pairs of words, and two to four letters.

    Args:
        clean: texts without instructions.
        kept: more of them, which the threshold is set on.
        planted: texts with instructions.
        window: sentences that are read together.
        false_alarms: share of ``kept`` above the threshold, at most.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    pieces = [piece for text in clean for _, _, piece in runs(text, window)]
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2, max_features=30_000)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[?!:]", max_features=20_000)
    model = make_pipeline(
        make_union(letters, words), LogisticRegression(C=10, class_weight="balanced", max_iter=500, random_state=0)
    )
    model.fit([*pieces, *planted], np.repeat([0, 1], [len(pieces), len(planted)]))
    # Where own texts are all alike, what is merely new to it lies above them: it must also look like an instruction.
    threshold = max(0.0, float(np.quantile(_largest(model, kept, window), 1 - false_alarms)))
    return Classifier(model, threshold, window)


def _largest(model: Any, texts: Sequence[str], window: int) -> Points:
    pieces = [(row, piece) for row, text in enumerate(texts) for _, _, piece in runs(text, window)]
    found = np.full(len(texts), -np.inf)
    if pieces:
        scores = model.decision_function([piece for _, piece in pieces])
        np.maximum.at(found, [row for row, _ in pieces], scores)
    return found


def of_texts(
    replies: Sequence[str], questions: Sequence[str], window: int, false_alarms: float, rng: np.random.Generator
) -> Classifier | None:
    """For quoted texts: own replies are clean, and own questions are among what is hidden in them."""
    if len(replies) < FEWEST:
        return None
    half = len(replies) // 2
    clean, kept = texts_of(replies[:half], EXAMPLES, rng), texts_of(replies[half:], EXAMPLES, rng)
    clean += texts_of(NEUTRAL, EXAMPLES, rng)
    planted = hidden(clean, instructions(questions, EXAMPLES, rng, plain=True), rng)
    return learnt(clean, kept, planted, window, false_alarms)


def of_prompts(
    questions: Sequence[str], window: int, false_alarms: float, rng: np.random.Generator
) -> Classifier | None:
    """For prompts: own questions are clean, with what stands around quoted texts and without."""
    if len(questions) < FEWEST:
        return None
    half, several = len(questions) // 2, -(-EXAMPLES // len(questions))
    clean, kept = (
        [LAYOUTS[(place + again) % len(LAYOUTS)].format(one) for again in range(several) for place, one in rows]
        for rows in (list(enumerate(questions[:half])), list(enumerate(questions[half:])))
    )
    # The same requests are clean and hidden, or every prompt unlike own ones would count as an instruction.
    clean += [layout.format(one) for one in (*REQUESTS, *NEUTRAL) for layout in LAYOUTS]
    planted = hidden([*questions[:half], *REQUESTS], instructions(questions[:half], EXAMPLES, rng, plain=False), rng)
    return learnt(clean, kept, planted, window, false_alarms)


@dataclass(frozen=True)
class Reader:
    """Reads records as their server does: what is quoted, and what is said around it.

    Attributes:
        texts: of quoted texts, and of documents; None where nothing could be learnt.
        prompts: of the rest of what users say; None likewise.
    """

    texts: Classifier | None
    prompts: Classifier | None

    def flagged(self, record: Record) -> tuple[bool, bool]:
        """Whether a quoted text, or a prompt, holds an instruction that has no place there."""
        parts = _parts(record)
        return _any(self.texts, [text for text, _ in parts]), _any(self.prompts, [rest for _, rest in parts if rest])

    def stripped(self, record: Record) -> Record:
        """The record with its quoted texts without what is flagged in them; a document that is all flagged stays."""
        by = self.texts
        if by is None:
            return record
        if isinstance(record, str):
            return by.without(record) or record
        turns = []
        for turn in record:
            before, text, after = quoted(turn.content) if turn.role != "assistant" else (turn.content, "", "")
            if text.strip() and by.scores([text])[0] > by.threshold:
                text = f"\n{by.without(text)}\n"
            turns.append(Turn(turn.role, before + text + after))
        return tuple(turns)


def _any(by: Classifier | None, texts: Sequence[str]) -> bool:
    return by is not None and bool((by.scores(texts) > by.threshold).any())


def _parts(record: Record) -> list[tuple[str, str]]:
    """Of every turn that is not the assistant's what is quoted in it, and of the user's what else is said."""
    if isinstance(record, str):
        return [(record, "")]
    found = list[tuple[str, str]]()
    for turn in record:
        if turn.role != "assistant":
            before, text, after = quoted(turn.content)
            rest = f"{_bare(before)}\n\n{_bare(after)}".strip() if text else before
            found.append((text, rest if turn.role == "user" else ""))
    return found


def _bare(text: str) -> str:
    """Without fences."""
    return FENCE.sub("", text).strip()
