"""From an Architecture to a network: a table of names, or the user's own factory where code is allowed."""

from __future__ import annotations

import difflib
import importlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import Schema
from threatloop.models.gpt import GPT
from threatloop.models.initialise import initialise
from threatloop.models.network import LOADED, Network, for_inference, restore, wrap
from threatloop.models.networks import CNN, MLP, Norm
from threatloop.models.resnet import SMALL_SIDE, ResNet18
from threatloop.models.shapes import input_shape, logits_shape


class _Blueprint(BaseModel):
    """The checked parameters of one built-in architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kinds: ClassVar[tuple[str, ...]]

    @abstractmethod
    def make(self, schema: Schema) -> nn.Module:
        """The module, its weights not yet drawn."""


class MLPBlueprint(_Blueprint):
    """Fully connected network: widths of the hidden layers."""

    kinds = ("image", "tabular")
    hidden: tuple[int, ...] = (64, 64)

    def make(self, schema: Schema) -> nn.Module:
        inputs = 1
        for side in input_shape(schema):
            inputs *= side
        return MLP(inputs, self.hidden, len(schema.classes))


class CNNBlueprint(_Blueprint):
    """Small convolutional network: filters per block, width of the hidden layer, normalised over batch or record."""

    kinds = ("image",)
    channels: tuple[int, ...] = Field(default=(16, 32), min_length=1)
    hidden: int = Field(default=64, ge=1)
    norm: Norm = "batch"

    def make(self, schema: Schema) -> nn.Module:
        return CNN(input_shape(schema), self.channels, self.hidden, len(schema.classes), self.norm)


class ResNetBlueprint(_Blueprint):
    """ResNet-18: filters of the first stage, whether the stem is the one for small images, and what is normalised."""

    kinds = ("image",)
    width: int = Field(default=64, ge=1)
    small_input: bool | None = None
    norm: Norm = "batch"

    def make(self, schema: Schema) -> nn.Module:
        channels, height, width = input_shape(schema)
        small = max(height, width) <= SMALL_SIDE if self.small_input is None else self.small_input
        return ResNet18(channels, len(schema.classes), self.width, small, self.norm)


class GPTBlueprint(_Blueprint):
    """Decoder-only transformer: blocks, attention heads, width."""

    kinds = ("text",)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    width: int = Field(default=64, ge=1)

    def make(self, schema: Schema) -> nn.Module:
        if self.width % (2 * self.heads):
            raise InputError(f"architecture gpt: width {self.width} is not a multiple of twice the heads {self.heads}")
        context, vocabulary = logits_shape(schema)
        return GPT(vocabulary, context, self.layers, self.heads, self.width)


BLUEPRINTS: Mapping[str, type[_Blueprint]] = {
    "mlp": MLPBlueprint,
    "cnn": CNNBlueprint,
    "resnet18": ResNetBlueprint,
    "gpt": GPTBlueprint,
}


def blueprint(architecture: Architecture, schema: Schema) -> _Blueprint:
    """The checked parameters of a built-in architecture.

    Raises:
        InputError: an unknown name, or an architecture that does not read records of this kind.
        Problems: parameters that it does not have or that are out of range, all of them.
    """
    name = architecture.name
    if name not in BLUEPRINTS:
        near = difflib.get_close_matches(name, BLUEPRINTS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"architecture {name!r} is unknown; {hint}use {', '.join(BLUEPRINTS)} or module:function")
    if schema.kind not in BLUEPRINTS[name].kinds:
        fitting = ", ".join(n for n, b in BLUEPRINTS.items() if schema.kind in b.kinds)
        raise InputError(f"architecture {name} does not read {schema.kind} records; use {fitting}")
    try:
        return BLUEPRINTS[name].model_validate(architecture.parameters)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Problems(f"architecture {name}: parameters", lines) from None


def build(
    architecture: Architecture, schema: Schema, generator: torch.Generator, *, allow_code: bool = False
) -> Network:
    """A fresh network on the CPU. Its initial weights are a function of the generator's state and of nothing else.

    Args:
        architecture: a name of `BLUEPRINTS` with its parameters, or ``module:function``: the user's own factory, called
            with ``parameters``; it returns a ``torch.nn.Module`` that reads encoded, normalised batches.
        schema: records that it reads and classes that it answers.
        generator: a CPU generator.
        allow_code: whether the user's own code may run.

    Raises:
        InputError: an unknown architecture, bad parameters, code that is not allowed or not found.
    """
    if ":" in architecture.name:
        body = _from_factory(architecture, generator, allow_code)
    else:
        plan = blueprint(architecture, schema)
        body = initialise(lambda: plan.make(schema), generator)
    return wrap(body, architecture, schema)


def _from_factory(architecture: Architecture, generator: torch.Generator, allow_code: bool) -> nn.Module:
    if not allow_code:
        raise InputError(f"architecture {architecture.name!r} names code; allow it to run with --allow-code")
    factory = _find(architecture.name)
    seed = int(torch.randint(2**62, (), generator=generator))
    # The user's layers draw from torch's global state: lend it a seeded one and put the old one back.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body = factory(**architecture.parameters)
    if not isinstance(body, nn.Module):
        raise InputError(f"architecture {architecture.name}: returned {type(body).__name__}; need a torch.nn.Module")
    return body


def _find(reference: str) -> Callable[..., object]:
    module, _, function = reference.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"architecture {reference!r}: {error}; need an importable module:function") from error
    if not callable(found):
        raise InputError(f"architecture {reference!r} is not a function that returns a torch.nn.Module")
    return found


def load(model: Model, device: torch.device | Literal["cpu"] = "cpu", *, allow_code: bool = False) -> Network:
    """The Model as a frozen network in eval mode. The last few are kept by digest and shared: do not change them.

    Raises:
        InputError: the weights do not fit the architecture, or it names code that is not allowed.
    """
    place = torch.device(device)
    if ":" in model.architecture.name and not allow_code:
        raise InputError(f"architecture {model.architecture.name!r} names code; allow it to run with --allow-code")
    key = (model.digest, str(place))
    network = LOADED.get(key)
    if network is None:
        # Not in a caller's inference mode: its tensors could never carry a gradient to the input.
        with torch.inference_mode(False):
            network = build(model.architecture, model.schema, torch.Generator().manual_seed(0), allow_code=allow_code)
            restore(network, model.weights)
            network = for_inference(network, place)
        LOADED.put(key, network)
    return network
