"""A clone of the victim for attacks that are worked out on it and used elsewhere."""

from __future__ import annotations

from typing import Literal

import numpy as np

from threatloop.algorithms.distil import Distillation, Targets
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.bench import Bench
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service

BATCH = 512
"""Records per request."""


class _Theft(Distillation):
    """A clone that learns from the victim's answers."""

    def label(self, service: Service, asked: Dataset, bench: Bench) -> Targets:  # noqa: ARG002
        """The victim's answers, batch by batch."""
        parts = [asked.take(slice(first, first + BATCH)) for first in range(0, len(asked), BATCH)]
        return np.concatenate([self.targets(service, part) for part in parts])


def steal(
    bench: Bench, queries: int, answers: Literal["soft", "hard"], steps: int, architecture: Architecture | None = None
) -> Service:
    """A clone that its thief owns with full access, trained on at most ``queries`` answers.

    Needs the resources ``victim``, ``query_pool`` and ``lifecycle``; streams are those of any theft.

    Raises:
        NotAssessable: no query is left.
    """
    victim = bench.service()
    left = victim.ledger.left
    affordable = queries if left is None else min(queries, left)
    if affordable < 1:
        raise NotAssessable("the query budget leaves nothing to ask")
    theft = _Theft(queries=affordable, answers=answers, steps=steps, architecture=architecture)
    clone = theft.steal(victim, bench)
    bench.progress.best = None  # a clone is no adversarial example
    return clone
