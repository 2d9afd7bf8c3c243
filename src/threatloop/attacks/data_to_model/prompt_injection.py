"""Indirect prompt injection: the forbidden question stands in a text that a harmless question quotes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.injections import injections
from threatloop.algorithms.jailbreak import Campaign, pairs_of
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.algorithms.prompt_search import best_of
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Step


class PromptInjection(Jailbreak):
    """Hides every forbidden question in a retrieved text; the user's own question is harmless.

    Threat model: the attacker writes a text that a retrieval system will find, and no part of the conversation else.
    The victim gets it quoted, with a harmless question from the attacker's pool behind it. For the search he runs the
    same system himself, black box.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. It succeeds where the
    reply answers the forbidden question in place of the user's. A question that is answered when asked directly, as
    the baseline does, counts for both.

    Deviates from the papers in that which injection works is learnt over the questions.

    Against a victim whose inputs are filtered he also tries injections that do not look like instructions: reported
    speech, questions in halves on both sides of the text, spelt-out ones.

    Attributes:
        sentences: of the harmless text around the injection, ≥ 1.
        disguise: whether those are tried, first.
        queries: prompts in all, ≥ 1.

    Raises:
        NotAssessable: the attacker's pool holds no harmless answered question.

    Greshake, Abdelnabi, Mishra, Endres, Holz, Fritz 2023, "Not what you've signed up for", arXiv 2302.12173, section 3;
    Liu, Jia, Geng, Jia, Gong 2023, "Formalizing and Benchmarking Prompt Injection Attacks and Defenses", arXiv
    2310.12815, section 4 (naive, escape characters, context ignoring, fake completion, combined).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Indirect prompt injection",
        direction=Direction.DATA_TO_MODEL,
        knowledge="that the victim reads retrieved texts, and harmless ones to hide in",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Greshake, Abdelnabi, Mishra, Endres, Holz, Fritz 2023, Not what you've signed up for, arXiv 2302.12173; "
        "Liu, Jia, Geng, Jia, Gong 2023, arXiv 2310.12815, section 4",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL}),
        atlas=("AML.T0051.001",),
        sweep="queries",
    )

    sentences: int = Field(default=2, ge=1)
    disguise: bool = False
    queries: int = Field(default=300, ge=1)

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """In disguise, where what is asked is looked at."""
        forms = super().adapted(to)
        return (*forms, self.model_copy(update={"disguise": True})) if Adaptation.ENDURANCE in to else forms

    def problems(self, schema: Schema, records: int) -> list[str]:
        """A class that the data do not have; no class that is harmless."""
        found = super().problems(schema, records)
        if set(schema.classes) <= {self.refused, self.answered}:
            found.append("all classes are forbidden ones; an injection needs harmless questions to hide behind")
        return found

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Every injection on every question, the ones that work first."""
        pool = bench.data(Resource.QUERY_POOL)
        classes = pool.schema.classes
        forbidden = [classes.index(name) for name in (self.refused, self.answered) if name in classes]
        carriers = pairs_of(pool.take(~np.isin(pool.y, forbidden)), "")
        if not carriers:
            raise NotAssessable("the attacker's pool holds no harmless answered question to hide in")
        ways = injections(carriers, self.sentences, bench.streams.numpy("carriers"), self.disguise)
        worked = best_of(campaign, ways, combine=False)
        bench.progress.note("ways", sum(share > 0 for share in worked.values()))
