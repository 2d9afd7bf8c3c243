"""A clone of the victim for attacks that are worked out on it and used elsewhere."""

from __future__ import annotations

from typing import Literal

from threatloop.algorithms.distil import Distillation
from threatloop.algorithms.labelling import AsksVictim, OwnLabels
from threatloop.core.assets import Architecture
from threatloop.core.bench import Bench
from threatloop.core.errors import NotAssessable
from threatloop.core.service import Service


class _Theft(AsksVictim):
    """A clone that learns from the victim's answers."""


class _Imitation(OwnLabels):
    """The same with the attacker's own labels."""


def steal(
    bench: Bench, queries: int, answers: Literal["soft", "hard"], steps: int, architecture: Architecture | None = None
) -> Service:
    """A clone that its thief owns with full access, trained on at most ``queries`` answers.

    Needs the resources ``victim``, ``query_pool`` and ``lifecycle``; streams are those of any theft.

    Raises:
        NotAssessable: no query is left.
    """
    return _made(_Theft, bench, queries, answers, steps, architecture)


def imitate(
    bench: Bench, queries: int, answers: Literal["soft", "hard"], steps: int, architecture: Architecture | None = None
) -> Service:
    """As `steal`, with the attacker's own labels in place of answers: the victim is not asked."""
    return _made(_Imitation, bench, queries, answers, steps, architecture)


def _made(
    kind: type[Distillation],
    bench: Bench,
    queries: int,
    answers: Literal["soft", "hard"],
    steps: int,
    architecture: Architecture | None,
) -> Service:
    victim = bench.service()
    left = victim.ledger.left
    affordable = queries if left is None else min(queries, left)
    if affordable < 1:
        raise NotAssessable("the query budget leaves nothing to ask")
    made = kind(queries=affordable, answers=answers, steps=steps, architecture=architecture).steal(victim, bench)
    bench.progress.best = None  # a model is no adversarial example
    return made
