"""Jailbreak by a suffix that the victim's own gradients find (GCG)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from threatloop.algorithms.jailbreak import ANSWERED, Campaign
from threatloop.algorithms.jailbreak_attack import Jailbreak
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.step import AttackInfo, Direction, Workload
from threatloop.modality.conversation import Chat

if TYPE_CHECKING:
    import torch


class GCG(Jailbreak):
    """Appends a suffix to every forbidden question under which the victim begins its reply as wanted.

    Threat model: white box. The attacker holds the weights, or a model that answers gradients; what he finds goes
    through the served model as text, so every candidate must be the same tokens again.

    Returns `Evidence` with the best prompt and reply to each question; see `Campaign.evidence`. A step asks 1 + at most
    ``batch`` questions. A question's search ends when the reply answers it. Notes ``loss_first`` and
    ``loss_last`` (mean over the questions, nats per token of the target), ``steps_taken``.

    Deviates from the paper: a suffix that worked starts the search for the next question, which stands for its
    progressive variant over several prompts; candidates are spread evenly over the places, no change twice. A step
    tries 64 candidates of 64 proposals a place, where the paper has 512 of 256, and there are 250 steps, not 500, since
    a small model on a processor is attacked.

    Attributes:
        steps: of each question, ≥ 1.
        batch: changed suffixes tried in a step, ≥ 1.
        topk: tokens that the gradient proposes for each place, ≥ 1.
        length: tokens of the suffix, ≥ 1; shortened where the victim reads no more.
        target: how the reply should begin.

    Raises:
        NotAssessable: the victim's context leaves no room for a suffix, its tokenizer lets none survive, or a defence
            hides that it is a language model.

    Zou, Wang, Carlini, Nasr, Kolter, Fredrikson 2023, "Universal and Transferable Adversarial Attacks on Aligned
    Language Models", arXiv 2307.15043, section 2 and algorithms 1 and 2.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jailbreak by suffix search (GCG)",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the victim's gradients",
        modalities=frozenset({"text"}),
        metrics=("jailbreak_success",),
        paper="Zou, Wang, Carlini, Nasr, Kolter, Fredrikson 2023, Universal and Transferable Adversarial Attacks on "
        "Aligned Language Models, arXiv 2307.15043, algorithms 1 and 2",
        baseline="plain_question",
        needs=frozenset({Capability.TEXT, Capability.GRADIENTS}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0054", "AML.T0043.000"),
        sweep="steps",
    )

    goals: int = Field(default=10, ge=1)
    steps: int = Field(default=250, ge=1)
    batch: int = Field(default=64, ge=1)
    topk: int = Field(default=64, ge=1)
    length: int = Field(default=20, ge=1)
    target: str = Field(default="Sure, here is", min_length=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """A step is a gradient and as many readings as there are candidates."""
        steps, replies = float(self.goals * self.steps), super().work(workload)["scoring_passes"]
        return {"training_passes": steps, "scoring_passes": steps * self.batch + replies}

    def search(self, campaign: Campaign, bench: Bench) -> None:
        """One question after the other, from the last suffix that worked."""
        import torch

        from threatloop.algorithms.suffix_search import Frame, SuffixSearch, allowed_tokens, ended
        from threatloop.models.language.language import Language

        language = campaign.service.differentiable()
        if not isinstance(language, Language):
            raise NotAssessable("what stands in front of the victim gives no gradients of a language model")
        allowed = allowed_tokens(language)
        generator = torch.Generator().manual_seed(bench.streams.integer("suffix"))
        worked: torch.Tensor | None = None
        trails, why = list[list[float]](), ""
        for goal in campaign.open:
            chat = campaign.goals[goal].chat
            try:
                frame = Frame.of(language, chat, self.target)
                search = SuffixSearch(language, frame, allowed, self.batch, self.topk, generator)
                start = search.started(frame.room(language.context, self.length, self.tokens))
            except NotAssessable as reason:
                why = str(reason)
                continue
            if worked is not None and len(worked) == len(start) and search.survives(worked.tolist()):
                start = worked

            def answered(suffix: torch.Tensor, goal: int = goal, chat: Chat = chat) -> bool:
                campaign.ask([(goal, ended(chat, language.codec.text(suffix.tolist())))])
                return campaign.worth[goal] == ANSWERED

            trails.append(search.trail)
            try:
                found = search.run(start, self.steps, answered)
            finally:
                _note(bench, trails)
            worked = found if campaign.worth[goal] == ANSWERED else worked
        if not trails:
            raise NotAssessable(why)


def _note(bench: Bench, trails: Sequence[Sequence[float]]) -> None:
    """Mean loss before and after, of the questions for which there was a step."""
    moved = [trail for trail in trails if len(trail) > 1]
    if moved:
        bench.progress.note("loss_first", sum(trail[0] for trail in moved) / len(moved))
        bench.progress.note("loss_last", sum(trail[-1] for trail in moved) / len(moved))
        bench.progress.note("steps_taken", sum(len(trail) - 1 for trail in moved))
