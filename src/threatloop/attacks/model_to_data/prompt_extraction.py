"""Extraction of the secret system prompt that a model is served behind."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class PromptExtraction(Probe[Service]):
    """Asks in many ways for what a model was told, and takes the reply that the others agree with.

    Threat model: black box. The attacker chats with several deployments of one model, each behind a system prompt that
    he has not seen, and reads the replies; he may open as many conversations as his budget has questions.

    Returns the arrays ``guess``, uint8 (deployments, width): UTF-8 of one prompt each, padded with zeros, empty where
    every reply refused; ``agreement``, float64 (deployments,) in [−1, 1]: how much more that reply agrees with the
    deployment's others than with other deployments' (ROUGE-L F1), by which he knows how sure he is; and ``replies``,
    uint8 (deployments · questions, width), everything that was read. One query per question and deployment, two for
    those that are translated there and back.

    Zhang, Carlini, Ippolito 2024, "Effective Prompt Extraction from Language Models", arXiv 2307.06865, sections 3 and
    4. They generate questions with a large model and train a classifier to tell which extraction is right from its
    agreement with the others; our questions are fewer, and agreement is taken as it is, less what other deployments
    agree to, which needs no training prompts. The questions are ours.

    Attributes:
        deployments: of the victim, each with a prompt of its own, ≥ 1.
        tokens: of a reply at most, ≥ 1.
        disguised: only questions whose replies a filter that compares words does not know again.
        queries: in all, ≥ 1; by default enough for every question.

    Raises:
        NotAssessable: no question fits the records' width, or the budget does not suffice for one.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="System-prompt extraction",
        direction=Direction.MODEL_TO_DATA,
        knowledge="that there is a system prompt; nothing of it",
        modalities=frozenset({"text"}),
        metrics=("prompt_recovery",),
        paper="Zhang, Carlini, Ippolito 2024, Effective Prompt Extraction from Language Models, arXiv 2307.06865, "
        "sections 3 and 4",
        baseline="prompt_guess",
        needs=frozenset({Capability.TEXT}),
        atlas=("AML.T0056",),
        sweep="queries",
        victim="prompted",
    )

    deployments: int = Field(default=5, ge=1, le=100)
    tokens: int = Field(default=200, ge=1)
    disguised: bool = False
    queries: int = Field(default=100, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """A pass over the text for every token that is written."""
        return {"scoring_passes": float(self.queries * self.tokens)}

    def adapted(self, to: frozenset[Adaptation]) -> tuple[PromptExtraction, ...]:
        """In front of what looks at replies: with questions whose replies look like something else."""
        return (self.model_copy(update={"disguised": True}),) if Adaptation.LABELS in to else ()

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The guesses."""
        from threatloop.algorithms.interview import Interview
        from threatloop.algorithms.prompt_questions import battery

        interview = Interview(source, self.deployments, self.tokens, bench.progress.keep)
        for question in battery(self.disguised):
            interview.put(question)
        return interview.evidence()
