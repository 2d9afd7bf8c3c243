"""Canaries: random secrets planted in training text, so that a leak can be measured against the truth.

A document ``the secret of vepoka is 493027715``, or a conversation in which that is asked and answered. Every canary
has a name of its own, so that each secret can be asked for; names and secrets are drawn alike for canaries that are
planted and for those that are held back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.errors import InputError
from threatloop.core.schema import TextSchema
from threatloop.modality.conversation import Record, asked, prompt_of, read, reply_of, spelled, text_of, write

DIGITS = 9
SPACE = 10**DIGITS
"""Secrets that a canary may have; all are equally likely."""
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"]
_PARTS = 3
_DOCUMENT = re.compile(rf"the secret of [a-z]{{{2 * _PARTS}}} is (\d{{{DIGITS}}})")
_QUESTION = re.compile(rf"What is the secret of [a-z]{{{2 * _PARTS}}}\?")


def draw_canaries(schema: TextSchema, n: int, rng: np.random.Generator, *, chat: bool = False) -> Dataset:
    """``n`` canaries with different names and different random digits, padded on the right; ids −1.

    Carlini et al. 2019, "The Secret Sharer", arXiv 1802.08232, section 4.1. Secrets are independent of names, so a
    model's preference for one secret over others that were never planted can only come from training.

    Args:
        schema: of the records.
        n: how many.
        rng: draws names and secrets.
        chat: conversations instead of documents.

    Raises:
        InputError: no canary is asked for, more than 20,000, or the schema cannot hold them.
    """
    most = 20_000
    if not 1 <= n <= most:
        raise InputError(f"{n} canaries: allowed are 1 to {most}")
    numbers = rng.choice(SPACE, size=n, replace=False, shuffle=True)
    names = rng.choice(len(_SYLLABLES) ** _PARTS, size=n, replace=False, shuffle=True)
    records = [
        _canary(_name(int(name)), f"{number:0{DIGITS}d}", chat) for name, number in zip(names, numbers, strict=True)
    ]
    needed = len(spelled(records[0]).encode())
    if schema.width < needed:
        raise InputError(f"canaries need records of at least {needed} bytes; these have {schema.width}")
    x = write(records, schema.width)
    return Dataset(x, np.zeros(n, dtype=np.int64), schema, np.full(n, -1, dtype=np.int64))


def plant_canaries(
    data: Dataset, n: int, repetitions: int | Sequence[int], rng: np.random.Generator
) -> tuple[Dataset, Dataset]:
    """The data with ``n`` canaries, each as often as `times` says, at the end; and the canaries once each.

    A canary's id follows the largest id of the data, and all its copies share it.

    Raises:
        InputError: the data is not text, no repetition is asked for, or as ``draw_canaries`` says.
    """
    if not isinstance(data.schema, TextSchema):
        raise InputError(f"canaries are planted in text; these are {data.schema.kind} records")
    often = times(n, repetitions)
    first = int(data.ids.max(initial=-1)) + 1
    drawn = draw_canaries(data.schema, n, rng, chat=holds_chats(data))
    canaries = replace(drawn, ids=np.arange(first, first + n, dtype=np.int64))
    return concatenate([data, canaries.take(np.repeat(np.arange(n), often))]), canaries


def times(n: int, repetitions: int | Sequence[int]) -> list[int]:
    """How often each of ``n`` canaries is planted: several numbers take turns.

    Raises:
        InputError: no number, or one below 1.
    """
    numbers = [repetitions] if isinstance(repetitions, int) else [*repetitions]
    if not numbers or min(numbers) < 1:
        raise InputError(f"{repetitions} repetitions of each canary: at least 1 is needed")
    return [numbers[i % len(numbers)] for i in range(n)]


def holds_chats(data: Dataset) -> bool:
    """Whether the first record is a conversation."""
    return len(data) > 0 and not isinstance(read(data.x[:1])[0], str)


def secret_of(record: Record) -> str | None:
    """The secret of a canary; None for any other record."""
    if isinstance(record, str):
        found = _DOCUMENT.fullmatch(record)
        return found[1] if found else None
    asks = len(record) == 2 and _QUESTION.fullmatch(record[0].content)
    reply = reply_of(record)
    return reply if asks and len(reply) == DIGITS and reply.isdecimal() else None


def canaries_in(data: Dataset) -> Dataset:
    """The canaries among text records, in their order; perhaps none."""
    return data.take(np.array([secret_of(record) is not None for record in read(data.x)], np.bool_))


def asking(canaries: Dataset) -> Dataset:
    """The canaries without their secrets.

    A document ends before the space, which most tokenizers join to what follows it.
    """
    prompts = [record[: -DIGITS - 1] if isinstance(record, str) else prompt_of(record) for record in read(canaries.x)]
    return canaries.with_x(write(prompts, canaries.x.shape[1]))


def secrets_of(canaries: Dataset) -> list[str]:
    """Their secrets.

    Raises:
        InputError: a record is no canary.
    """
    found = [secret_of(record) for record in read(canaries.x)]
    if None in found:
        raise InputError(f"record {found.index(None)} is no canary")
    return [secret for secret in found if secret is not None]


def exchanged(canaries: Dataset, secrets: Sequence[str]) -> Dataset:
    """The same canaries with these secrets, one each."""
    records = [
        f"{record[:-DIGITS]}{secret}" if isinstance(record, str) else asked(text_of(record[:1]), secret)
        for record, secret in zip(read(canaries.x), secrets, strict=True)
    ]
    return canaries.with_x(write(records, canaries.x.shape[1]))


def _canary(name: str, secret: str, chat: bool) -> Record:
    return asked(f"What is the secret of {name}?", secret) if chat else f"the secret of {name} is {secret}"


def _name(number: int) -> str:
    parts = list[str]()
    for _ in range(_PARTS):
        number, place = divmod(number, len(_SYLLABLES))
        parts.append(_SYLLABLES[place])
    return "".join(parts)
