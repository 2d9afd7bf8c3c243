"""What training a classifier minimises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError


@dataclass(frozen=True)
class Tally:
    """Sums over a batch: loss in nats, right answers, and how many answers they are sums over."""

    loss: torch.Tensor
    right: torch.Tensor
    count: torch.Tensor


def targets_of(data: Dataset, soft: npt.NDArray[np.float32] | None) -> torch.Tensor:
    """One row per record: int64 labels, or float32 probabilities (n, classes) where soft targets are given.

    Raises:
        InputError: soft targets that do not fit.
    """
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


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The mean over the batch, a scalar in nats, ≥ 0.

    ``smoothing`` in [0, 1) moves that mass from the target to all answers (Szegedy et al. 2015, arXiv 1512.00567,
    section 7).
    """
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def tally(logits: torch.Tensor, targets: torch.Tensor, loss: torch.Tensor) -> Tally:
    """Sums for the notes of the training; ``loss`` is the mean of this batch."""
    wanted = targets if targets.dim() == 1 else targets.argmax(1)
    count = torch.tensor(len(logits))
    return Tally(loss.detach() * len(logits), (logits.detach().argmax(1) == wanted).sum(), count)
