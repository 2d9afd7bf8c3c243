"""What a served language model replies to the prompts of conversations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Model
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Exchange
from threatloop.core.schema import TextSchema
from threatloop.core.service import Speaking
from threatloop.modality.conversation import prompt_of, read, text_of, write
from threatloop.models.responder import responder_of


def replies_of(model: Model, data: Dataset, case: Case, tokens: int) -> list[str]:
    """Replies to the records' prompts, each of so many tokens at most, the likeliest ones; as the victim is served.

    Raises:
        NotAssessable: the model writes nothing.
    """
    if not len(data):
        return []
    if not isinstance(data.schema, TextSchema):
        raise NotAssessable(f"a model of {data.schema.kind} records writes no text")
    return said_to(model, write([prompt_of(record) for record in read(data.x)]), case, tokens)


def exchanges(
    data: Dataset, replies: Sequence[str], hits: npt.NDArray[np.bool_], words: tuple[str, str]
) -> tuple[Exchange, ...]:
    """Prompts of records and replies to them, for a gallery; ``words`` of a judge where it is a hit, and where not."""
    prompts = [text_of(prompt_of(record)) for record in read(data.x)]
    found = zip(data.ids, prompts, replies, hits, strict=True)
    return tuple(Exchange(int(i), prompt, reply, words[not hit], bool(hit)) for i, prompt, reply, hit in found)


def said_to(model: Model, prompts: npt.NDArray[np.uint8], case: Case, tokens: int) -> list[str]:
    """Replies to prompts (n, ·), otherwise as `replies_of`.

    Raises:
        NotAssessable: the model writes nothing.
    """
    if not len(prompts):
        return []
    responder = case.behind_defences(model, responder_of(model, case.device, allow_code=case.allow_code))
    if not isinstance(responder, Speaking):
        raise NotAssessable(f"a model of {model.schema.kind} records writes no text")
    return responder.replies(prompts, tokens)
