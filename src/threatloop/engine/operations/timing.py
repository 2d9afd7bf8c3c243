"""How long answers take. A reading of the machine, kept beside a result and never in it."""

from __future__ import annotations

import time
from typing import Any

import numpy.typing as npt

from threatloop.core.assets import Dataset
from threatloop.core.service import Responder

TIMED = 1000
"""Records that are asked at once."""
FEW = 32
"""As many instead where these alone take longer than `LONGEST`."""
REPEATS = 5
LONGEST = 0.5
"""Seconds after which it is not asked again."""


def seconds_per_thousand(responder: Responder, data: Dataset) -> float | None:
    """Seconds for 1,000 answers, of the quickest of some tries: what else runs on the machine only ever adds.

    To be asked of a responder that has answered before, so that what is done once is not counted. None without records.
    """
    few, x = data.x[:FEW], data.x[:TIMED]
    if not len(few):
        return None
    taken = [_seconds(responder, few)]
    if taken[0] > LONGEST or len(few) == len(x):
        x = few
    else:
        taken = []
    while len(taken) < REPEATS and sum(taken) < LONGEST:
        taken.append(_seconds(responder, x))
    return min(taken) * 1000 / len(x)


def _seconds(responder: Responder, x: npt.NDArray[Any]) -> float:
    started = time.perf_counter()
    responder.log_probs(x)
    return time.perf_counter() - started
