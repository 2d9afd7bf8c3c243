"""Which canaries were planted, and how often: for judges, who may know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset


def repetitions(canaries: Dataset, own: Dataset) -> npt.NDArray[np.int64]:
    """How often each canary is among the records, int64 (n,)."""
    numbers, counts = np.unique(own.ids, return_counts=True)
    often = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return np.array([often.get(number, 0) for number in canaries.ids.tolist()], np.int64)
