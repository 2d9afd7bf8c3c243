"""Jailbreak by asking differently: role play, encodings, many examples, injected beginnings."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from threatloop.algorithms.jailbreak import Campaign, pairs_of
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.algorithms.prompt_search import best_of
from threatloop.algorithms.transformations import KINDS, Library
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class PromptTransform(Jailbreak):
    """Asks every forbidden question in other ways, the ones that work first, until it is answered.

    Threat model: black box. The attacker sends conversations, a system turn included, and reads the replies. He holds
    harmless answered questions, or answered ones of the forbidden kind, as examples.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. Asks each question once
    as it is and then once for every transformation at most, and after that with two at once. Notes ``ways``, how many
    transformations ever worked.

    Deviates from the papers in that it learns over the questions which way works, so that fewer queries are spent; and
    in its short wordings, so that small models can read them.

    Attributes:
        kinds: transformations, in order of trial; see `threatloop.algorithms.transformations`.
        shots: examples in a many-shot prompt, ≥ 1; fewer where the victim reads no more.
        combine: try two at once when each alone has failed.
        queries: prompts in all, ≥ 1.

    Raises:
        NotAssessable: no held-out question of the class is there.

    Wei, Haghtalab, Steinhardt 2023, "Jailbroken: How Does LLM Safety Training Fail?", arXiv 2307.02483, sections 3 and
    4; Anil et al. 2024, "Many-shot Jailbreaking", NeurIPS 2024; Andriushchenko, Flammarion 2024, arXiv 2407.11969
    (past tense).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jailbreak by transformed prompts",
        direction=Direction.DATA_TO_MODEL,
        knowledge="answered questions of his own as examples; nothing of the model",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Wei, Haghtalab, Steinhardt 2023, Jailbroken: How Does LLM Safety Training Fail?, arXiv 2307.02483, "
        "sections 3 and 4",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL}),
        atlas=("AML.T0054",),
        sweep="queries",
    )

    kinds: tuple[str, ...] = KINDS
    shots: int = Field(default=8, ge=1)
    combine: bool = True
    queries: int = Field(default=400, ge=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise ValueError(f"kinds: {', '.join(unknown)} unknown; allowed are {', '.join(KINDS)}")
        return self

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """All ways, with many-shot prompts of fewer and fewer examples behind the rest."""
        pool = bench.data(Resource.QUERY_POOL)
        harmless = pool.take(pool.y != pool.schema.classes.index(self.refused))
        shots = pairs_of(pool, self.answered) or pairs_of(harmless, "")
        library = Library(shots, self.shots, bench.streams.numpy("shots"))
        found = {kind: way for kind in self.kinds if (way := library.of(kind)) is not None}
        if "many_shot" in found:
            for fewer in (self.shots // 2, 1):
                if 0 < fewer < self.shots:
                    less = Library(shots, fewer, bench.streams.numpy(f"shots-{fewer}"))
                    found[f"many_shot_{fewer}"] = less.of("many_shot") or found["many_shot"]
        worked = best_of(campaign, found, self.combine)
        bench.progress.note("ways", sum(share > 0 for share in worked.values()))
