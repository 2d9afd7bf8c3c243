"""The victim rewrites forbidden questions and isn't asked why it refused: the matched control of introspection."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.jailbreak import Campaign
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class SelfRewriting(Jailbreak):
    """Has the victim put each forbidden question in other words, asks that, and goes on from there.

    Threat model: as for `Introspection`, without any self-explanation. A question costs two prompts a round here and
    three there; as many rounds are made as that budget pays for, one and a half times ``rounds``.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`.

    Ramesh, Dou, Xu 2024, arXiv 2405.13077, section 3, minus the explanation.

    Attributes:
        rounds: of the attack that this is the control of, ≥ 1.
        enhance: whether replies beside the point are rated and improved by the victim.
        queries: prompts to the victim in all, ≥ 1.

    Raises:
        NotAssessable: no held-out question of the class is there.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Rewriting by the victim itself",
        direction=Direction.DATA_TO_MODEL,
        knowledge="nothing but the questions",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="control of Ramesh, Dou, Xu 2024, GPT-4 Jailbreaks Itself, arXiv 2405.13077",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0054",),
        sweep="queries",
    )

    rounds: int = Field(default=4, ge=1)
    enhance: bool = True
    queries: int = Field(default=300, ge=1)

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Rewrite, ask again."""
        from threatloop.algorithms.introspection import introspect

        introspect(campaign, -(-3 * self.rounds // 2), explain=False, enhance=self.enhance)
        bench.progress.note("answered", len(campaign.goals) - len(campaign.open))
