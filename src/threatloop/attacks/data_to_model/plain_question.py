"""The forbidden question, asked as it is."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.jailbreak import Campaign
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class PlainQuestion(Jailbreak):
    """Asks every question once and does nothing else: what a jailbreak must be better than."""

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Plain question",
        direction=Direction.DATA_TO_MODEL,
        knowledge="nothing but the questions",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM}),
    )

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Nothing more."""
