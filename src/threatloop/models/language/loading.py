"""From a Model to a language, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import Schema, TextSchema
from threatloop.modality.conversation import MARK, read
from threatloop.models.build import build, load
from threatloop.models.gpt import GPT
from threatloop.models.language.bases import ADAPTED, context_of, folder_of
from threatloop.models.language.byte_level import ByteLanguage
from threatloop.models.language.codecs import too_long
from threatloop.models.language.hub import HubLanguage
from threatloop.models.language.hub_base import Adapter
from threatloop.models.language.hub_codec import codec_in
from threatloop.models.language.language import Language
from threatloop.models.network import Network, dump, restore, wrap

LANGUAGES = ("gpt", ADAPTED)
"""Architectures that read text."""
TEMPLATE = 32
"""Tokens that a template adds to a turn, at a guess."""
MOST_CHECKED = 10_000


def language_of(model: Model, device: torch.device) -> Language:
    """The model, frozen and ready to read. Those of small transformers are shared: do not change them.

    Raises:
        InputError: the weights do not fit, or the base model is not there.
    """
    if model.architecture.name == ADAPTED:
        language = HubLanguage(adapter_of(model.architecture), device)
        language.adopt(model.weights)
        return language
    return ByteLanguage(_gpt(load(model, device)))


def pupil(
    architecture: Architecture, schema: Schema, generator: torch.Generator, device: torch.device, init: Model | None
) -> Language:
    """A language to be trained, of its own: from ``init``, or as ``generator`` draws it.

    Raises:
        InputError: unknown parameters, a base that is not there, or weights of another architecture.
    """
    if architecture.name == ADAPTED:
        language = HubLanguage(adapter_of(architecture), device)
        if init is None:
            language.draw(generator)
        else:
            language.adopt(init.weights)
        return language
    network = build(architecture, schema, generator)
    if init is not None:
        restore(network, init.weights)
    return ByteLanguage(_gpt(network.to(device)))


def public(architecture: Architecture, schema: Schema) -> Model | None:
    """The model of this architecture that anybody has: the base without an adapter. None where there is no base."""
    return Model(architecture, schema, {}) if architecture.name == ADAPTED else None


def dumped(language: Language, architecture: Architecture, schema: Schema, notes: Mapping[str, Any]) -> Model:
    """The language as a Model: its weights, or those of its adapter."""
    if isinstance(language, HubLanguage):
        return Model(architecture, schema, language.weights(), dict(notes))
    assert isinstance(language, ByteLanguage)
    return dump(wrap(language.network, architecture, schema), architecture, schema, notes)


def adapter_of(architecture: Architecture) -> Adapter:
    """The checked parameters of ``causal_lm``.

    Raises:
        Problems: parameters that it does not have or that are out of range, all of them.
    """
    try:
        return Adapter.model_validate(architecture.parameters)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Problems(f"architecture {ADAPTED}: parameters", lines) from None


def check_language(architecture: Architecture, schema: Schema) -> None:
    """That a language can be made of this, without loading weights.

    Raises:
        InputError, Problems: unknown parameters, no text, a base that is not there, a context beyond the base's.
    """
    adapter = adapter_of(architecture)
    if not isinstance(schema, TextSchema):
        raise InputError(f"architecture {ADAPTED} does not read {schema.kind} records; it reads text")
    most = context_of(adapter.base)
    if adapter.context > most:
        raise InputError(f"architecture {ADAPTED}: context {adapter.context} is beyond the base model's {most}")


def check_records(architecture: Architecture, data: Dataset) -> None:
    """That a base model's tokenizer can read these records, before any weights are loaded.

    Raises:
        InputError: conversations without a template, or records beyond the context; says how many and which is first.
    """
    adapter, schema = adapter_of(architecture), data.schema
    assert isinstance(schema, TextSchema)
    codec = codec_in(folder_of(adapter.base), 0)
    x = np.asarray(data.x)
    # A token holds a byte at least, and a template adds few: only what is long is cut into tokens to see.
    sizes = (x != 0).sum(axis=1) + TEMPLATE * (x == MARK).sum(axis=1)
    chats = np.flatnonzero(x[:, 0] == MARK)[:1]
    codec.tokens(read(x[chats])[0]) if len(chats) else None
    places = np.flatnonzero(sizes > adapter.context)[:MOST_CHECKED]
    too_long([codec.tokens(record) for record in read(x[places])], adapter.context, places.tolist())


def _gpt(network: Network) -> GPT:
    assert isinstance(network.body, GPT)
    return network.body
