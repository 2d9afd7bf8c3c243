"""What a thief of a language model gets without ever asking it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.text_theft import Lessons, TextTheft
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class TextSurrogate(TextTheft):
    """A student on the same prompts, order, steps and initial weights, with the attacker's own replies.

    The victim is never asked; only what is left of the query budget is read, so that both arms see equally many
    prompts. There are no log-probabilities to learn from, so with ``answers: logprobs`` it sees each prompt once where
    the thief sees it twice.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Student trained on the attacker's own replies",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="prompts with replies of his own, the victim's base model and recipe",
        modalities=frozenset({"text"}),
        metrics=("reply_agreement",),
        paper="Krishna et al. 2019, Thieves on Sesame Street!, arXiv 1910.12366, section 3",
        baseline="text_surrogate",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        sweep="queries",
    )

    def lessons(self, service: Service, prompts: npt.NDArray[np.uint8], own: Sequence[str], bench: Bench) -> Lessons:  # noqa: ARG002
        """The attacker's own replies."""
        return Lessons(own)
