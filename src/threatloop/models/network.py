"""Network: a body between fixed preprocessing and log-probabilities, and its way to and from a Model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.core.assets import Architecture, Model
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.models.shapes import Shape, statistics_shape

LOADED_AT_ONCE = 8
"""Networks that `load` keeps."""
SMALLEST_PROBABILITY = 1e-12
NO_GRADIENTS = (
    "needs gradients, and the network's answers carry none (they are detached, or whole classes): let `forward` return "
    "what the last layer computes"
)


class Network(nn.Module):
    """Encoded records to logits: (x - mean) / std, then the body, then a logarithm if that answers probabilities.

    Attributes:
        body: the bare network.
        mean: subtracted per channel or column; absent for tokens.
        std: divides per channel or column, > 0; absent for tokens.
        answers_probabilities: the body ends in a softmax.
    """

    mean: torch.Tensor | None
    std: torch.Tensor | None

    def __init__(self, body: nn.Module, shape: Shape | None, answers_probabilities: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", None if shape is None else torch.zeros(shape))
        self.register_buffer("std", None if shape is None else torch.ones(shape))
        self.body = body
        self.answers_probabilities = answers_probabilities

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (or log-probabilities) of an encoded batch: (n, classes) or (n, context, vocabulary).

        Raises:
            NotAssessable: somebody asks for gradients, and the user's own network lets none through.
        """
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        answers: torch.Tensor = self.body(x)
        if torch.is_grad_enabled() and not answers.requires_grad and self._asked_for_gradients(x):
            raise NotAssessable(NO_GRADIENTS)
        return answers.clamp_min(SMALLEST_PROBABILITY).log() if self.answers_probabilities else answers

    def _asked_for_gradients(self, x: torch.Tensor) -> bool:
        return x.requires_grad or any(parameter.requires_grad for parameter in self.parameters())

    def normalise_by(self, mean: npt.NDArray[np.float32] | None, std: npt.NDArray[np.float32] | None) -> None:
        """Fix the preprocessing: one number per channel or column, or None to keep what is there."""
        for buffer, values in ((self.mean, mean), (self.std, std)):
            if buffer is not None and values is not None:
                buffer.copy_(torch.from_numpy(values).reshape(buffer.shape))


def wrap(body: nn.Module, architecture: Architecture, schema: Schema) -> Network:
    """The body with the preprocessing and the outputs that the architecture states.

    Raises:
        InputError: mean or std has another length than the records have channels or columns.
    """
    shape = statistics_shape(schema)
    network = Network(body, shape, architecture.outputs == "probabilities")
    needed = 0 if shape is None else shape[0]
    for name, buffer in (("mean", network.mean), ("std", network.std)):
        values = getattr(architecture, name)
        if values is None:
            continue
        if buffer is None or len(values) != needed:
            raise InputError(f"architecture.{name} has {len(values)} numbers; {schema.kind} records here need {needed}")
        buffer.copy_(torch.tensor(values).reshape(buffer.shape))
    return network


def dump(network: Network, architecture: Architecture, schema: Schema, notes: Mapping[str, Any] | None = None) -> Model:
    """The network's weights as a Model: copies on the CPU, floats as float32, counters as they are."""
    weights = {name: _array(tensor) for name, tensor in network.state_dict().items()}
    return Model(architecture, schema, weights, dict(notes or {}))


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    kept = tensor.detach().to("cpu")
    kept = kept.float() if kept.is_floating_point() else kept
    return np.array(kept.contiguous().numpy(), order="C", copy=True)


def restore(network: Network, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy a Model's weights into a network of the same architecture.

    Raises:
        InputError: names or shapes differ.
    """
    state = {name: torch.from_numpy(np.array(array, copy=True)) for name, array in weights.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"these weights do not fit the architecture: {' '.join(str(error).split())}") from error


def for_inference(network: Network, device: torch.device) -> Network:
    """The network on the device in eval mode, frozen; convolutions in the memory format that is fastest."""
    network.requires_grad_(False).eval().to(device)
    if any(p.dim() == 4 for p in network.parameters()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class _Loaded:
    """The networks loaded last, by content and place. Shared: nobody may change what it hands out."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Network] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, str]) -> Network | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, str], network: Network) -> None:
        with self._lock:
            self._kept[key] = network
            while len(self._kept) > LOADED_AT_ONCE:
                self._kept.popitem(last=False)


LOADED = _Loaded()
