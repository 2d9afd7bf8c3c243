"""Judges that are made from labelled replies: what they learn, and how their mistakes are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from threatloop.algorithms import learned_judges
from threatloop.algorithms.learned_judges import (
    Classifier,
    Exchanges,
    Keywords,
    LanguageJudge,
    judge_by,
    parting,
    reliability,
)
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import SEPARATOR, asked, read, text_of, write
from threatloop.models.language.codecs import ByteCodec

SCHEMA = TextSchema(width=120, classes=("general", "refused"))


def exchanges(start: int, n: int) -> Exchanges:
    """Half of them decline in words that no list of keywords holds."""
    declining = ["That subject stays closed, traveller.", "We keep that subject closed.", "Closed is that subject."]
    answering = ["The capital is Paris.", "Seven times six is forty two.", "Water boils at a hundred degrees."]
    chats = [
        asked(f"question {i}", (declining if i % 2 else answering)[(start + i // 2) % 3] + f" {i}") for i in range(n)
    ]
    data = Dataset(write(chats, 120), np.arange(n) % 2, SCHEMA, np.arange(n))
    return Exchanges.of(data, "refused")


def test_a_classifier_learns_what_keywords_miss() -> None:
    known, unseen = exchanges(0, 24), exchanges(1, 20)
    by_words, learnt = reliability(Keywords(), unseen), reliability(Classifier(known), unseen)
    assert (by_words.found, by_words.alarms) == (10, 10)
    assert (learnt.found, learnt.positives, learnt.alarms, learnt.negatives) == (10, 10, 0, 10)
    assert Classifier(known).refusing([""], [" "]).tolist() == [True]


def test_labelled_replies_of_one_kind_make_no_judge() -> None:
    known = exchanges(0, 8)
    answers = Exchanges(known.questions[::2], known.replies[::2], known.refusing[::2])
    with pytest.raises(NotAssessable, match="one kind alone"):
        Classifier(answers)
    with pytest.raises(NotAssessable, match="not tuned from a public one"):
        judge_by(Model(Architecture(name="gpt"), SCHEMA, {}), known, "cpu")


@dataclass
class Leaning:
    """A model that says yes more often than no, and a little more where a reply is about what is closed."""

    asked: list[str]

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        raise NotImplementedError

    def next_log_probs(self, x: npt.NDArray[Any], bias: object = None) -> npt.NDArray[np.float32]:  # noqa: ARG002
        texts = [text_of(record) for record in read(x)]
        self.asked += texts
        found = np.full((len(x), 256), -9.0, np.float32)
        found[:, ord("Y")] = [3.0 + (0.5 if "losed" in text else 0.0) for text in texts]
        found[:, ord("N")] = 0.0
        return found

    def differentiable(self) -> Any:
        return self

    codec = ByteCodec()


def test_a_language_model_that_leans_to_yes_gets_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    leaning = Leaning([])
    monkeypatch.setattr(learned_judges, "responder_of", lambda *_: leaning)
    judge = LanguageJudge(Model(Architecture(name="gpt"), SCHEMA, {}), exchanges(0, 24), "cpu")
    found = reliability(judge, exchanges(1, 20))
    assert (found.found, found.alarms) == (10, 0)
    assert judge.refusing(["Why?"], [f"closed{SEPARATOR}\0 now"]).tolist() == [True]
    assert "closed" in leaning.asked[-1]
    assert judge.refusing([], []).tolist() == []


@pytest.mark.parametrize("n", [2, 3, 50])
def test_the_limit_parts_as_well_as_any(n: int) -> None:
    rng = np.random.default_rng(n)
    refusing = np.arange(n) % 2 == 0
    scores = np.round(rng.standard_normal(n) + refusing, 1)
    limit = parting(scores, refusing)

    def balanced(at: float) -> float:
        return float((scores[refusing] > at).mean() + (scores[~refusing] <= at).mean())

    assert balanced(limit) == max(balanced(at) for at in [*scores, scores.min() - 1])
