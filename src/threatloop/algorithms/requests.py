"""A chat model is asked to put sentences in other words."""

from __future__ import annotations

import re

import numpy as np

from threatloop.core.assets import Dataset
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import asked, read, replied, said_in, write
from threatloop.models.language.language import Language
from threatloop.models.language.writing import Style, continued

REQUEST = "Say this in other words. Keep its meaning and answer with the new sentence alone.\n\n"
ROOM = 2
"""Tokens of an answer at most, for each of the sentence."""


def reworded(data: Dataset, language: Language, share: float, rng: np.random.Generator) -> Dataset:
    """This share of every text's sentences, one at least, as the model words them; as they were where it says nothing.

    The likeliest tokens are taken. A sentence that the model cannot read whole, with its request, stays.
    """
    assert isinstance(data.schema, TextSchema)
    codec, records = language.codec, read(data.x)
    split = [re.split(r"(?<=[.!?])\s+", said_in(record)) for record in records]
    places = [
        (row, int(i))
        for row, sentences in enumerate(split)
        for i in rng.permutation(len(sentences))[: max(1, round(share * len(sentences)))]
        if sentences[i].strip()
    ]
    prompts = [codec.prompt(asked(REQUEST + split[row][i])) for row, i in places]
    kept = [k for k, prompt in enumerate(prompts) if len(prompt) < language.context]
    if kept:
        longest = max(len(codec.tokens(split[row][i]).ids) for row, i in (places[k] for k in kept))
        answers = continued(language, [prompts[k] for k in kept], Style(ROOM * longest))
        for k, ids in zip(kept, answers, strict=True):
            row, i = places[k]
            lines = codec.text(ids).strip().splitlines()
            split[row][i] = lines[0] if lines else split[row][i]
    width = data.schema.width
    texts = zip(records, split, strict=True)
    return data.with_x(write([replied(record, " ".join(sentences), width) for record, sentences in texts], width))
