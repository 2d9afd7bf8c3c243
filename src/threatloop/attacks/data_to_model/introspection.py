"""Jailbreak by the victim's own explanation of why it refuses (IRIS)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.jailbreak import Campaign
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class Introspection(Jailbreak):
    """Asks the victim why it refused and what was missing, and has it rewrite the question by its own explanation.

    Threat model: black box, text only. The attacker holds nothing but the questions: the victim is attacker and target
    in one, so that its own ability limits him. A model that is too small to speak of its replies gives noise in place
    of reasons, which the control shows.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. Asks each question once
    as it is, then in each of ``rounds`` three times: why, the rewriting, and the new question; and at the end once
    more, where a reply neither refuses nor answers, for a better one. Every one of them counts against ``queries``.

    Its control `self_rewriting` has the victim rewrite the question without asking why, at the same budget: what is
    gained beyond it is owed to introspection.

    Deviates from the paper: what counts as refused is the attacker's keyword judge's word and not a reply's length;
    explanations and replies are quoted up to 160 characters, since small models read little; a message that lost the
    subject is put in front of the question; the reply to rate and improve is asked for in the conversation that led to
    it, so that the judge can put the whole prompt to the victim again, and only where nothing is answered yet.

    Attributes:
        rounds: of explanation and rewriting, ≥ 1 (4 in the paper).
        enhance: whether replies beside the point are rated and improved by the victim.
        queries: prompts to the victim in all, ≥ 1.

    Raises:
        NotAssessable: no held-out question of the class is there.

    Ramesh, Dou, Xu 2024, "GPT-4 Jailbreaks Itself with Near-Perfect Success Using Self-Explanation", arXiv 2405.13077,
    section 3, algorithm 1.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jailbreak by introspection (IRIS)",
        direction=Direction.DATA_TO_MODEL,
        knowledge="nothing but the questions",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Ramesh, Dou, Xu 2024, GPT-4 Jailbreaks Itself with Near-Perfect Success Using Self-Explanation, arXiv "
        "2405.13077, section 3",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0054",),
        sweep="queries",
        control="self_rewriting",
    )

    rounds: int = Field(default=4, ge=1)
    enhance: bool = True
    queries: int = Field(default=300, ge=1)

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Explain, rewrite, ask again."""
        from threatloop.algorithms.introspection import introspect

        introspect(campaign, self.rounds, explain=True, enhance=self.enhance)
        bench.progress.note("answered", len(campaign.goals) - len(campaign.open))
