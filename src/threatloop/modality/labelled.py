"""What every modality of independently labelled records shares: losses, membership signal, label checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.modality.base import Floats, Modality, SchemaT

LOG_FLOOR = -745.0
"""About the logarithm of the smallest positive float64: keeps signals finite where a probability rounds to 0."""


class Labelled(Modality[SchemaT]):
    """Records with one class label each; a service answers (n, classes) log-probabilities."""

    def posteriors(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """The answers as finite log-probabilities, float64 (n, classes)."""
        return _checked(log_probs, data)

    def losses(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """The cross-entropy −log p_y of each record, float64 (n,), ≥ 0, in nats."""
        scores = _checked(log_probs, data)
        return np.asarray(-scores[np.arange(len(data)), data.y])

    def membership_signal(self, log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
        """The logit-scaled confidence log(p_y / (1 − p_y)) of each record, float64 (n,), finite.

        1 − p_y is the sum of the other classes' probabilities, so that nothing is lost where p_y rounds to 1.
        Carlini et al. 2022, "Membership Inference Attacks From First Principles", arXiv 2112.03570, section IV-C.
        """
        scores = _checked(log_probs, data)
        rows = np.arange(len(data))
        others = scores.copy()
        others[rows, data.y] = -np.inf
        peak = others.max(axis=1, keepdims=True)
        rest = peak[:, 0] + np.log(np.exp(others - peak).sum(axis=1))
        return np.asarray(scores[rows, data.y] - rest)


def label_problems(data: Dataset) -> list[str]:
    """Labels that are not indices into the schema's classes; and a data set without records."""
    if len(data) == 0:
        return ["there are no records"]
    bad = np.flatnonzero((data.y < 0) | (data.y >= data.n_classes))
    if not len(bad):
        return []
    found = ", ".join(str(label) for label in np.unique(data.y[bad])[:5])
    return [
        f"{len(bad)} labels are out of range (found {found}; first at record {bad[0]}); "
        f"allowed are 0 to {data.n_classes - 1}"
    ]


def chunks(x: npt.NDArray[Any], cells: int = 1 << 22) -> list[slice]:
    """Slices over the first axis with about ``cells`` array cells each, so that memory maps are never copied whole."""
    step = max(1, cells // max(1, int(np.prod(x.shape[1:]))))
    return [slice(i, i + step) for i in range(0, len(x), step)]


def _checked(log_probs: Floats, data: Dataset) -> npt.NDArray[np.float64]:
    if log_probs.shape != (len(data), data.n_classes) or data.n_classes < 2:
        raise InputError(
            f"answers have shape {log_probs.shape}; {len(data)} records of {data.n_classes} classes need "
            f"({len(data)}, {data.n_classes}) with at least 2 classes"
        )
    return np.maximum(log_probs.astype(np.float64), LOG_FLOOR)
