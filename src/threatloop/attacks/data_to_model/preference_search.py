"""Black-box jailbreak that learns from nothing but which of two replies is preferred."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.jailbreak import Campaign, pairs_of
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.algorithms.preferences import evolve
from threatloop.algorithms.transformations import KINDS, Library
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class PreferenceSearch(Jailbreak):
    """Evolves sequences of transformations; the victim itself is asked which of two replies answers the question.

    Threat model: black box, text only, without scores of any kind. The victim that refuses to answer may still say
    which of two replies is the better answer, and so leads the attacker to it. A reply that plainly answers ends a
    question's search, since the attacker reads it.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. Each round asks one new
    prompt and two comparisons (both orders) a question. A victim that cannot compare gives no direction, and what
    remains is a random search that shares what worked.

    Deviates from the paper: replies are compared, not prompts, and what varies are whole transformations in place of
    words.

    Attributes:
        longest: transformations in one prompt, ≥ 1.
        rounds: of evolution at most, ≥ 1.
        shots: examples in a many-shot prompt, ≥ 1.
        queries: prompts and comparisons in all, ≥ 1.

    Raises:
        NotAssessable: no held-out question of the class is there.

    Zhang, Ding, Liu, Hong, Tramèr 2025, "Black-box Optimization of LLM Outputs by Asking for Directions", arXiv
    2510.16794 (comparisons by the victim); Lapid, Langberg, Sipper 2023, "Open Sesame!", arXiv 2309.01446 (evolution).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jailbreak by preference-guided search",
        direction=Direction.DATA_TO_MODEL,
        knowledge="answered questions of his own as examples; nothing of the model",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Zhang, Ding, Liu, Hong, Tramèr 2025, Black-box Optimization of LLM Outputs by Asking for Directions, "
        "arXiv 2510.16794; Lapid, Langberg, Sipper 2023, arXiv 2309.01446",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL}),
        atlas=("AML.T0054",),
        sweep="queries",
    )

    longest: int = Field(default=3, ge=1)
    rounds: int = Field(default=20, ge=1)
    shots: int = Field(default=4, ge=1)
    queries: int = Field(default=600, ge=1)

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Rounds of mutation and comparison."""
        pool = bench.data(Resource.QUERY_POOL)
        harmless = pool.take(pool.y != pool.schema.classes.index(self.refused))
        shots = pairs_of(pool, self.answered) or pairs_of(harmless, "")
        library = Library(shots, self.shots, bench.streams.numpy("shots"))
        ways = {kind: way for kind in KINDS if (way := library.of(kind)) is not None}
        evolve(campaign, ways, self.longest, self.rounds, bench.streams.numpy("mutation"))
