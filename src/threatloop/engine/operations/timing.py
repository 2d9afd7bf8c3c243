"""How long answers take. A reading of the machine, kept beside a result and never in it."""

from __future__ import annotations

import time

from threatloop.core.assets import Dataset
from threatloop.core.service import Responder

TIMED = 1000
"""Records that are asked at once."""
REPEATS = 5
LONGEST = 0.5
"""Seconds after which it is not asked again."""


def seconds_per_thousand(responder: Responder, data: Dataset) -> float | None:
    """Seconds for 1,000 answers, of the quickest of some tries: what else runs on the machine only ever adds.

    To be asked of a responder that has answered before, so that what is done once is not counted. None without records.
    """
    x = data.x[:TIMED]
    if not len(x):
        return None
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < LONGEST:
        started = time.perf_counter()
        responder.log_probs(x)
        taken.append(time.perf_counter() - started)
    return min(taken) * 1000 / len(x)
