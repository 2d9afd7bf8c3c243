"""Canaries: random secrets planted in training text, so that a leak can be measured against the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import write

PREFIX = "the secret is "
DIGITS = 9


def draw_canaries(schema: TextSchema, n: int, rng: np.random.Generator) -> Dataset:
    """``n`` different records of a fixed prefix and random digits, padded on the right; ids −1.

    Carlini et al. 2019, "The Secret Sharer", arXiv 1802.08232, section 4.1. The prefix is the same for all, so a
    model's preference for one secret over others that were never planted can only come from training.

    Raises:
        InputError: no canary is asked for, more than there are secrets, or the schema cannot hold them.
    """
    secrets = 10**DIGITS
    if not 1 <= n <= secrets // 1000:
        raise InputError(f"{n} canaries: allowed are 1 to {secrets // 1000}")
    if schema.width < len(PREFIX) + DIGITS:
        raise InputError(f"canaries need records of at least {len(PREFIX) + DIGITS} bytes; these have {schema.width}")
    numbers = rng.choice(secrets, size=n, replace=False, shuffle=True)
    records = write([f"{PREFIX}{number:0{DIGITS}d}" for number in numbers], schema.width)
    return Dataset(records, np.zeros(n, dtype=np.int64), schema, np.full(n, -1, dtype=np.int64))


def plant_canaries(data: Dataset, n: int, repetitions: int, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
    """The data with ``n`` canaries, each ``repetitions`` times at the end; and the canaries once each.

    A canary's id follows the largest id of the data, and all its copies share it.

    Raises:
        InputError: the data is not text, no repetition is asked for, or as ``draw_canaries`` says.
    """
    if not isinstance(data.schema, TextSchema):
        raise InputError(f"canaries are planted in text; these are {data.schema.kind} records")
    if repetitions < 1:
        raise InputError(f"{repetitions} repetitions of each canary: at least 1 is needed")
    first = int(data.ids.max(initial=-1)) + 1
    canaries = replace(draw_canaries(data.schema, n, rng), ids=np.arange(first, first + n, dtype=np.int64))
    return concatenate([data, *[canaries] * repetitions]), canaries
