"""Membership attacks on scores: what they share against an attacker's view of defended answers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from threatloop.algorithms.fallback import or_from_labels
from threatloop.core.attack import Probe
from threatloop.core.defence import Adaptation
from threatloop.core.service import Service
from threatloop.core.step import Step


class ScoreMembership(Probe[Service]):
    """A probe that tells members by scores; where those are defended, labels are its second form.

    Attributes:
        expectation: answers averaged per record, ≥ 1: more than 1 against a victim that answers at random. Every answer
            is a query.
    """

    expectation: int = Field(default=1, ge=1)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """The same with shadow models served alike, and the attack on labels."""
        return or_from_labels(self, super().adapted(to), to, "label_only_membership")
