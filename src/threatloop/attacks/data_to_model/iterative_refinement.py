"""Jailbreak by a second language model that rewrites the prompt after every refusal (PAIR, TAP)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.jailbreak import Campaign
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction, Workload


class IterativeRefinement(Jailbreak):
    """An attacker's own model reads question, last message and reply, and writes the next message.

    Threat model: black box, text only. The attacker holds a language model: the public base that the victim was tuned
    from, or, where the victim has none, one that he trains on his pool by the victim's recipe. It is no stronger than
    the victim, which limits this attack more than its search does; with a very small model it is hardly more than
    resampling.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. Asks each question once
    as it is and ``width`` × ``branching`` times in each of ``depth`` rounds at most.

    Deviates from the papers: the judge is the attacker's keyword judge (refused 1, beside the point 5, answered 10), no
    third model; the attacker's model sees the last attempt, not the whole conversation, since small models read
    little; in PAIR too a message that lost the subject is not sent as it is, but in front of the question.

    Attributes:
        depth: rounds, ≥ 1.
        width: independent lines of each question (PAIR), or attempts kept after each round (TAP), ≥ 1.
        branching: rewritings of each attempt; above 1 it is TAP, with its two prunings.
        message: tokens of a message at most, ≥ 1.
        queries: prompts to the victim in all, ≥ 1.

    Raises:
        NotAssessable: no held-out question of the class is there.

    Chao, Robey, Dobriban, Hassani, Pappas, Wong 2023, "Jailbreaking Black Box Large Language Models in Twenty Queries",
    arXiv 2310.08419, algorithm 1; Mehrotra, Zampetakis, Kassianik, Nelson, Anderson, Singer, Karbasi 2023, "Tree of
    Attacks", arXiv 2312.02119, algorithm 1.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jailbreak by iterative refinement (PAIR, TAP)",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the victim's public base model, or its recipe and records of his own",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Chao, Robey, Dobriban, Hassani, Pappas, Wong 2023, Jailbreaking Black Box Large Language Models in "
        "Twenty Queries, arXiv 2310.08419; Mehrotra et al. 2023, Tree of Attacks, arXiv 2312.02119",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0054",),
        sweep="queries",
    )

    depth: int = Field(default=3, ge=1)
    width: int = Field(default=4, ge=1)
    branching: int = Field(default=1, ge=1)
    message: int = Field(default=64, ge=1)
    queries: int = Field(default=400, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """The attacker's model writes about as much as the victim; where it is trained, a pool of a fifth is seen."""
        found = super().work(workload)
        return {
            "training_passes": workload.records * workload.recipe.epochs / 5,
            "scoring_passes": 2 * found["scoring_passes"],
        }

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Rounds of rewriting."""
        from threatloop.algorithms.refinement import Writer, own_service, refine

        pool = bench.data(Resource.QUERY_POOL)
        service = own_service(bench.resource(Resource.LIFECYCLE), pool, bench.streams.child("own-model"))
        refine(campaign, Writer(service, self.message, bench.streams), self.depth, self.width, self.branching)
