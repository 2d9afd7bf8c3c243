"""What training minimises, per kind of record: a small table, so that the loop never asks for the kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import Schema, TokenSchema

IGNORED = -100
"""Target of a position that does not count."""


@dataclass(frozen=True)
class Tally:
    """Sums over a batch: loss in nats, right answers, and how many answers they are sums over."""

    loss: torch.Tensor
    right: torch.Tensor
    count: torch.Tensor


class Objective(ABC):
    """A loss on logits and the targets that it reads."""

    @abstractmethod
    def targets(self, data: Dataset, soft: npt.NDArray[np.float32] | None) -> torch.Tensor:
        """One row per record: int64 answers, or float32 probabilities where soft targets are given.

        Raises:
            InputError: soft targets that do not fit.
        """

    @abstractmethod
    def loss(self, logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
        """The mean loss over the answers of the batch, a scalar in nats, ≥ 0.

        ``smoothing`` in [0, 1) moves that mass from the target to all answers (Szegedy et al. 2015, arXiv 1512.00567,
        section 7).
        """

    @abstractmethod
    def tally(self, logits: torch.Tensor, targets: torch.Tensor, loss: torch.Tensor) -> Tally:
        """Sums for the notes of the training; ``loss`` is what `loss` gave for this batch."""


class Classification(Objective):
    """Cross-entropy with labels (n,) or probabilities (n, classes)."""

    def targets(self, data: Dataset, soft: npt.NDArray[np.float32] | None) -> torch.Tensor:
        if soft is None:
            return torch.from_numpy(np.array(data.y, np.int64))
        needed = (len(data), data.n_classes)
        if soft.shape != needed:
            raise InputError(f"soft targets have shape {soft.shape}; need {needed}")
        if not np.isfinite(soft).all() or (soft < 0).any():
            raise InputError("soft targets are not probabilities: need finite numbers ≥ 0")
        total = soft.sum(axis=1, keepdims=True, dtype=np.float64)
        if (np.abs(total - 1) > 1e-3).any():
            raise InputError(f"soft targets of record {int(np.abs(total - 1).argmax())} do not sum to 1")
        return torch.from_numpy((soft / total).astype(np.float32))

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)

    def tally(self, logits: torch.Tensor, targets: torch.Tensor, loss: torch.Tensor) -> Tally:
        wanted = targets if targets.dim() == 1 else targets.argmax(1)
        count = torch.tensor(len(logits))
        return Tally(loss.detach() * len(logits), (logits.detach().argmax(1) == wanted).sum(), count)


class NextToken(Objective):
    """Cross-entropy of the token after each position; padding does not count."""

    def targets(self, data: Dataset, soft: npt.NDArray[np.float32] | None) -> torch.Tensor:
        if soft is not None:
            raise InputError("soft targets are not supported for tokens; leave them out")
        schema = data.schema
        assert isinstance(schema, TokenSchema)
        following = np.full((len(data), schema.context), IGNORED, np.int64)
        following[:, :-1] = data.x[:, 1:]
        following[:, :-1][data.x[:, 1:] == schema.pad] = IGNORED
        return torch.from_numpy(following)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=smoothing)

    def tally(self, logits: torch.Tensor, targets: torch.Tensor, loss: torch.Tensor) -> Tally:
        count = (targets != IGNORED).sum()
        return Tally(loss.detach() * count, (logits.detach().argmax(-1) == targets).sum(), count)


_BY_KIND: Mapping[str, Objective] = {
    "image": Classification(),
    "tabular": Classification(),
    "tokens": NextToken(),
}


def objective(schema: Schema) -> Objective:
    """The objective for records of this kind."""
    return _BY_KIND[schema.kind]
