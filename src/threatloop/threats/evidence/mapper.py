"""From a passage to ATLAS techniques: the fused retrieval that proposes candidates to reviewers and to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from threatloop.threats.evidence.corpus import Corpus, studies
from threatloop.threats.evidence.fusion import Fusion, fused_ranks, learn
from threatloop.threats.evidence.signals import (
    DESCRIPTION,
    KEYWORDS,
    MEANING,
    Embedder,
    Floats,
    Labelled,
    Signals,
    Texts,
    labelled,
    ready,
)
from threatloop.threats.keywords import plain

FOLDS = 5
"""Folds of case studies in which the weights are learnt."""
FEWEST_STUDIES = 10
"""Case studies below which weights are not learnt."""
UNFAMILIAR = 0.25
"""Share of case-study steps that lie further from their technique than a passage may."""


@dataclass(frozen=True)
class Candidate:
    """A technique that may fit a passage.

    Attributes:
        technique: its id.
        name: its name, with its parent's.
        score: in [0, 1]; see `Mapper.calibrated`.
    """

    technique: str
    name: str
    score: float


@dataclass(frozen=True)
class Ranking:
    """What a passage may show.

    Attributes:
        candidates: the best first.
        familiar: whether the first is as close to the passage in meaning as three quarters of the case-study steps are
            to their own technique. A passage about something else is not, however sure the scores are of the least
            unlikely. True where it cannot be told: without an embedder, or without steps.
    """

    candidates: tuple[Candidate, ...]
    familiar: bool


class Mapper:
    """Ranks the techniques of a release for passages.

    Signals of a training step come from the other case studies only: weights see passages as new as those to come.

    Args:
        corpus: techniques and labelled steps.
        embedder: of sentences; without one, words alone decide.

    Raises:
        InputError: a library is not installed.
    """

    def __init__(self, corpus: Corpus, embedder: Embedder | None = None) -> None:
        self._corpus, self._embedder = corpus, embedder
        techniques = ready([f"{one.name}. {one.text}" for one in corpus.techniques], embedder)
        examples = labelled(corpus, corpus.examples, embedder)
        self._signals = Signals(techniques, examples)
        self._fusion: Fusion | None = None
        self._nearness = -1.0
        if len(studies(corpus.examples)) >= FEWEST_STUDIES:
            self._fusion, self._nearness = _learnt(techniques, examples)

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities, given that the passage shows some technique; else they are fused ranks.

        They are too sure between .6 and .8, as the benchmark prints: a hint for a reviewer, not a verdict.
        """
        return self._fusion is not None

    @property
    def weights(self) -> dict[str, float]:
        """Of the signals; empty where ranks are fused."""
        return dict(zip(self._fusion.names, self._fusion.weights.tolist(), strict=True)) if self._fusion else {}

    def ready(self, texts: Sequence[str]) -> Texts:
        """Texts made ready for `signals`."""
        return ready(texts, self._embedder)

    def signals(self, texts: Sequence[str]) -> dict[str, Floats]:
        """Every signal alone, float64 (n, techniques) each, techniques in the release's order."""
        return self._signals.of(self.ready(texts))

    def scores(self, texts: Sequence[str]) -> Floats:
        """Fused scores in [0, 1], float64 (n, techniques)."""
        return self._fused(self.signals(texts))

    def rank(self, texts: Sequence[str], most: int = 8) -> list[Ranking]:
        """Of each text, at most so many techniques."""
        if not texts:
            return []
        signals, known = self.signals([plain(text) for text in texts]), self._corpus.techniques
        found = []
        for row, scores in enumerate(self._fused(signals)):
            best = np.argsort(-scores, kind="stable")[:most]
            near = MEANING not in signals or bool(signals[MEANING][row, best[0]] >= self._nearness)
            found.append(Ranking(tuple(Candidate(known[i].id, known[i].name, float(scores[i])) for i in best), near))
        return found

    def _fused(self, signals: dict[str, Floats]) -> Floats:
        if self._fusion is not None:
            return self._fusion.probabilities(signals)
        return fused_ranks([signals[name] for name in (KEYWORDS, DESCRIPTION) if name in signals])


def _learnt(techniques: Texts, examples: Labelled) -> tuple[Fusion, float]:
    """Weights, and the cosine that three quarters of the steps reach with their technique; both out of their study."""
    from sklearn.model_selection import GroupKFold

    rows = np.arange(len(examples.labels))
    parts, order = list[dict[str, Floats]](), list[int]()
    for inside, outside in GroupKFold(FOLDS).split(rows, groups=examples.studies):
        parts.append(Signals(techniques, examples.rows(inside.tolist())).of(examples.texts.rows(outside.tolist())))
        order += outside.tolist()
    signals = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    labels = examples.labels[order]
    own = signals[MEANING][np.arange(len(labels)), labels] if MEANING in signals else [-1.0]
    return learn(signals, labels), float(np.quantile(own, UNFAMILIAR))
