"""A language model is stolen by learning from what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.text_theft import Lessons, TextTheft
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Step

AT_ONCE = 64
"""Prompts of one request."""


class TextDistillation(TextTheft):
    """Sequence-level distillation through the interface: ask for replies, tune a student on them.

    Threat model: black box. The thief has prompts of the victim's kind, with replies of his own, and may ask
    ``queries`` of them; he sees text, with ``answers: logprobs`` also the distribution of each reply's first token. He
    knows the recipe and, unless ``architecture`` says otherwise, the architecture; of an adapted base model he holds
    the base, which is public, and tunes an adapter of his own. He never sees a member.

    Returns a Service that the thief owns with full access. Replies are the likeliest ones, cut to ``tokens``. A student
    with another vocabulary can learn from text alone. A document's first half is its prompt.

    Kim, Rush 2016, "Sequence-Level Knowledge Distillation", arXiv 1606.07947, section 3.2; Krishna et al. 2019,
    "Thieves on Sesame Street!", arXiv 1910.12366, section 3 (attacker who starts from a public model).
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Distillation through a text interface",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="prompts with replies of his own, the victim's base model and recipe; none of its members",
        modalities=frozenset({"text"}),
        metrics=("reply_agreement",),
        paper="Kim, Rush 2016, Sequence-Level Knowledge Distillation, arXiv 1606.07947, section 3.2",
        baseline="text_surrogate",
        needs=frozenset({Capability.TEXT, Capability.LOGPROBS}),
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0024.002", "AML.T0005.001"),
        sweep="queries",
    )

    def required(self) -> frozenset[Capability]:
        """Text, and log-probabilities where it learns from them."""
        return self.info.needs if self.answers == "logprobs" else frozenset({Capability.TEXT})

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """From text alone, where log-probabilities are withheld or falsified."""
        forms = super().adapted(to)
        return (*forms, self.model_copy(update={"answers": "text"})) if Adaptation.LABELS in to else forms

    def lessons(self, service: Service, prompts: npt.NDArray[np.uint8], own: Sequence[str], bench: Bench) -> Lessons:  # noqa: ARG002
        """The victim's replies, asked for batch by batch."""
        replies, following = list[str](), list[npt.NDArray[np.float32]]()
        for start in range(0, len(prompts), AT_ONCE):
            part = prompts[start : start + AT_ONCE]
            replies += service.replies(part, self.tokens)
            if self.answers == "logprobs":
                following.append(np.exp(service.next_log_probs(part)))
            bench.progress.report(min(1.0, (start + AT_ONCE) / len(prompts)))
        return Lessons(replies, np.concatenate(following) if following else None)
