"""Gradients through what has none: the input's filters count as the identity on the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop import modality
from threatloop.core.schema import Schema

Filter = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Forward = Callable[[torch.Tensor], torch.Tensor]


def through(forward: Forward, filters: Sequence[Filter], schema: Schema) -> Forward:
    """Encoded records to the logits of what the filters make of them; gradients pass by the filters unchanged.

    Filters that draw at random draw anew at every call, so that a mean over calls is an expectation.

    Athalye, Carlini, Wagner 2018, "Obfuscated Gradients Give a False Sense of Security", arXiv 1802.00420, section 4.1
    (backward pass differentiable approximation, by the identity) and 4.2 (expectation over transformation).

    Args:
        forward: encoded records to logits.
        filters: of stored records, in the order in which they act.
        schema: of the records.
    """
    kind = modality.of(schema)

    def filtered(x: torch.Tensor) -> torch.Tensor:
        records = kind.decode(x.detach().cpu().float().numpy(), schema)
        with torch.autocast(x.device.type, enabled=False):  # filters may be networks, and are no part of a draft
            for one in filters:
                records = one(records)
        encoded = np.asarray(kind.encode(records, schema), dtype=np.float32)
        return forward(x + (torch.from_numpy(encoded).to(x) - x).detach())

    return filtered if filters else forward
