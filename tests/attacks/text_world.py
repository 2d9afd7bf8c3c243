"""A small world of texts with canaries, and tiny models that learned them by heart, or never saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from threatloop.algorithms.language_training import LanguageTraining
from threatloop.core.assets import Architecture, Dataset, Model, concatenate
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.metric import Case
from threatloop.core.recipe import Recipe
from threatloop.core.schema import TextSchema
from threatloop.core.seeds import Streams
from threatloop.core.step import Step
from threatloop.data.canaries import draw_canaries, times
from threatloop.modality.conversation import write
from threatloop.models.responder import local_service

STREAMS = Streams(5, ("text",))
WIDTH = 48
RECIPE = Recipe(epochs=30, batch_size=16, optimiser="adam", learning_rate=0.004, weight_decay=0.0)
TRAINING = LanguageTraining(Architecture(name="gpt", parameters={"width": 64, "layers": 2}), RECIPE)
SYLLABLES = ("ba", "ko", "ri", "tu", "ne", "sa", "lo", "mi", "du", "fe", "wa", "gi")


@dataclass(frozen=True)
class TextWorld:
    """Members of the victim hold planted canaries; the stranger was trained on the attacker's pool."""

    own: Dataset
    members: Dataset
    candidates: Dataset
    canaries: Dataset
    pool: Dataset
    victim: Model
    stranger: Model

    def bench(self, attack: Step[Any]) -> Bench:
        given = replace(self.candidates, ids=np.arange(len(self.candidates)))
        held: dict[Resource, Any] = {
            Resource.CANDIDATES: given,
            Resource.QUERY_POOL: self.pool,
            Resource.REFERENCE: local_service(self.stranger),
        }
        if Resource.PARTIAL in attack.info.resources:
            held[Resource.PARTIAL] = attack.hidden(given)  # type: ignore[attr-defined]
        return Bench(STREAMS.child("attack"), {name: held[name] for name in attack.info.resources}, Progress())

    def case(self, outcome: Any, attack: Any, facts: Mapping[str, Any] | None = None) -> Case:
        truths = {
            "outcome": outcome,
            "candidates": self.candidates,
            "members": self.members,
            "own": self.own,
            "canaries": self.canaries,
        }
        return Case(truths, attack, STREAMS.child("judge"), facts=facts or {})


def sentences(n: int, rng: np.random.Generator) -> Dataset:
    """Documents of twelve to sixteen random syllables in words of two."""
    texts = []
    for _ in range(n):
        drawn = [SYLLABLES[i] for i in rng.integers(len(SYLLABLES), size=2 * int(rng.integers(6, 9)))]
        texts.append(" ".join(a + b for a, b in zip(drawn[::2], drawn[1::2], strict=True)))
    schema = TextSchema(width=WIDTH)
    return Dataset(write(texts, WIDTH), np.zeros(n, np.int64), schema, np.arange(n))


def build(repetitions: tuple[int, ...] = (1, 2, 8), planted: int = 12, records: int = 60) -> TextWorld:
    """``records`` each of members, seen thrice, of others and of the attacker's; half of the canaries planted."""
    rng = STREAMS.numpy("world")
    data = sentences(3 * records, rng)
    members, others, pool = (data.take(slice(i * records, (i + 1) * records)) for i in range(3))
    drawn = draw_canaries(TextSchema(width=WIDTH), 2 * planted, rng)
    canaries = replace(drawn, ids=10_000 + np.arange(2 * planted))
    kept = canaries.take(slice(0, planted))
    own = concatenate(
        [members, members, members, kept.take(np.repeat(np.arange(planted), times(planted, repetitions)))]
    )
    candidates = concatenate([members, others, canaries])
    return TextWorld(
        own,
        concatenate([members, kept]),
        candidates.take(rng.permutation(len(candidates))),
        canaries,
        pool,
        TRAINING.fit(own, STREAMS.child("victim")),
        TRAINING.fit(pool, STREAMS.child("stranger")),
    )
