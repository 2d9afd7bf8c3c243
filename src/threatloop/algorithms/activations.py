"""What the layer before the answers makes of records: the space in which poison and clean records part."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.algorithms.record_features import vectors
from threatloop.core.assets import Dataset, Model
from threatloop.core.training import Training
from threatloop.modality import of
from threatloop.models.responder import batch_size_for

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Activations:
    """Records as a network sees them just before it answers.

    Attributes:
        rows: float32 (n, d).
        fallback: why these are the encoded records themselves; empty where they are activations.
    """

    rows: Floats
    fallback: str = ""


def penultimate(training: Training, model: Model, data: Dataset) -> Activations:
    """What enters the fully connected layer that is computed last, in eval mode.

    A network that computes none, or one whose input does not come record by record, leaves the encoded records.
    """
    if not len(data):
        return Activations(vectors(data))
    # A copy: loaded networks are shared, and nobody else may see the hooks.
    network = copy.deepcopy(training.module(model))
    entered: list[torch.Tensor] = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, given: entered.append(given[0].detach()))
    parts, size = [], batch_size_for(data.schema)
    for start in range(0, len(data), size):
        entered.clear()
        batch = data.x[start : start + size]
        _run(network, batch, data)
        if not entered or len(entered[-1]) != len(batch):
            name = model.architecture.name
            return Activations(vectors(data), f"{name} computes no fully connected layer, one row a record")
        parts.append(entered[-1].float().flatten(1).cpu().numpy())
    return Activations(np.concatenate(parts))


def _run(network: Any, batch: npt.NDArray[Any], data: Dataset) -> None:
    encoded = np.require(of(data.schema).encode(np.asarray(batch), data.schema), requirements=["C", "W"])
    with torch.inference_mode():
        network(torch.from_numpy(encoded).to(next(network.parameters()).device))
