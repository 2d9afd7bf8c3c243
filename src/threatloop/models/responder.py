"""A network on this machine behind a Service."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.core.access import ALL_CAPABILITIES, Capability, Ledger
from threatloop.core.assets import Model
from threatloop.core.endpoint import REMOTE
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema
from threatloop.core.service import Responder, Service
from threatloop.modality import of
from threatloop.models.build import load
from threatloop.models.device import resolve
from threatloop.models.language.loading import LANGUAGES
from threatloop.models.language.responder import LanguageResponder
from threatloop.models.network import Network
from threatloop.models.remote import RemoteResponder
from threatloop.models.remote_chat import RemoteChat
from threatloop.models.shapes import answer_shape, input_shape

BATCH_BYTES = 1 << 24
"""About how much memory one batch of answers may take. Larger ones are no faster: they leave the caches."""
GROWTH = 16
"""Activations alive at once, as a multiple of the larger of input and output; measured on ResNet-18 and the CNN."""
LARGEST_BATCH = 1024


def batch_size_for(schema: Schema) -> int:
    """Records per batch, 1 to 1,024, so that a batch takes about `BATCH_BYTES`."""
    numbers = max(math.prod(input_shape(schema)), math.prod(answer_shape(schema)))
    return max(1, min(LARGEST_BATCH, BATCH_BYTES // (4 * GROWTH * numbers)))


@dataclass(frozen=True)
class LocalResponder:
    """Answers from a Model on this machine, in eval mode, batch by batch: records are never encoded all at once.

    Attributes:
        source: the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        batch_size: records per batch; None chooses by memory.
        allow_code: whether an architecture that names code may be built.
    """

    source: Model
    device: str = "cpu"
    batch_size: int | None = None
    allow_code: bool = False

    def log_probs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities, float32 (n, classes), of records of the schema.

        Raises:
            InputError: records of another shape than the schema says.
        """
        schema, network = self.source.schema, self._network()
        answers = np.empty((len(x), *answer_shape(schema)), np.float32)
        size = self.batch_size or batch_size_for(schema)
        with torch.inference_mode():
            for start in range(0, len(x), size):
                answers[start : start + size] = _answer(network, x[start : start + size], schema)
        return answers

    def differentiable(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Encoded records (a tensor on any device, gradients allowed) to logits there; the weights are frozen."""
        network = self._network()
        place = next(network.parameters()).device
        return lambda x: network(x.to(place)).to(x.device)

    def model(self) -> Model:
        """The weights themselves."""
        return self.source

    def _network(self) -> Network:
        return load(self.source, resolve(self.device), allow_code=self.allow_code)


def _answer(network: Network, x: npt.NDArray[Any], schema: Schema) -> npt.NDArray[np.float32]:
    # A copy where the records are read-only: torch would warn of them on the user's screen.
    encoded = np.require(of(schema).encode(x, schema), requirements=["C", "W"])
    if encoded.shape[1:] != input_shape(schema):
        raise InputError(f"a query has records of shape {encoded.shape[1:]}; the model reads {input_shape(schema)}")
    place = next(network.parameters()).device
    logits = network(torch.from_numpy(encoded).to(place)).float()
    answers: npt.NDArray[np.float32] = torch.log_softmax(logits, -1).cpu().numpy()
    return answers


def remote_of(model: Model) -> RemoteResponder | RemoteChat:
    """What asks the endpoint that serves a model, by its protocol."""
    return RemoteChat(model) if model.architecture.name == "openai" else RemoteResponder(model)


def responder_of(model: Model, device: str = "cpu", *, allow_code: bool = False) -> Responder:
    """What answers for a model: its network here, or the endpoint that serves it."""
    if model.architecture.name in REMOTE:
        return remote_of(model)
    if model.architecture.name in LANGUAGES:
        return LanguageResponder(model, device)
    return LocalResponder(model, device, allow_code=allow_code)


def local_service(
    model: Model,
    grants: Iterable[Capability] = ALL_CAPABILITIES,
    limit: int | None = None,
    *,
    device: str = "cpu",
    allow_code: bool = False,
) -> Service:
    """The model as a service for a party with these capabilities, which may ask at most ``limit`` records.

    Who holds the weights is told the architecture; nobody else is.
    """
    granted = frozenset(grants)
    known = model.architecture if Capability.WEIGHTS in granted else None
    responder = responder_of(model, device, allow_code=allow_code)
    return Service(responder, model.schema, granted, Ledger(limit), architecture=known)
