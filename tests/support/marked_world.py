"""A tiny byte-level model, texts, and marks that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from threatloop.algorithms.language_training import LanguageTraining
from threatloop.algorithms.text_mark import TextMark
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.catalogue import DEFENCES
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.core.service import Responder
from threatloop.data.text import Text

KEY = b"the owner's key."
RECIPE = Recipe(epochs=4, batch_size=32, optimiser="adam", learning_rate=5e-3, weight_decay=0.0)
GPT = Architecture(name="gpt", parameters={"width": 32, "layers": 1, "heads": 2})


@dataclass(frozen=True)
class World:
    """The owner's records and model; records of the attacker; how both train."""

    own: Dataset
    pool: Dataset
    writer: Responder
    training: LanguageTraining


@cache
def world() -> World:
    whole = Text(text="stdlib", length=64).read(Path()).dataset
    data = whole.take(np.random.default_rng(0).permutation(len(whole))[:400])
    training = LanguageTraining(GPT, RECIPE)
    own, pool = data.take(slice(0, 40)), data.take(slice(100, 400))
    return World(own, pool, training.serve(training.fit(data.take(slice(0, 300)), Streams(0))).responder, training)


def mark(name: str, **fields: float | bool) -> TextMark:
    """A mark of the catalogue, in its owner's hands."""
    made = DEFENCES.load(name).model_validate(fields)
    assert isinstance(made, TextMark)
    return made.written_by(world().writer)


@cache
def marked(name: str) -> Dataset:
    """The owner's records under the mark as it is by default."""
    return mark(name).protect(world().own, KEY)
