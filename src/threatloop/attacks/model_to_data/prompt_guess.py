"""The baseline of system-prompt extraction: another prompt of the same kind."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class PromptGuess(Probe[Service]):
    """Guesses every deployment's prompt by drawing one of its own as the secret ones are drawn, without asking.

    It knows all texts that prompts are made of, and no fact in them. Where the user brought the prompts, they share
    nothing but their language with such a guess.

    Returns ``guess`` and ``agreement`` as `prompt_extraction` does, the latter 0. No queries.

    Attributes:
        deployments: how many prompts are guessed, ≥ 1.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="System prompt guessed",
        direction=Direction.MODEL_TO_DATA,
        knowledge="how such prompts are worded",
        modalities=frozenset({"text"}),
        metrics=("prompt_recovery",),
        paper="Zhang, Carlini, Ippolito 2024, arXiv 2307.06865",
        baseline="prompt_guess",
        needs=frozenset[Capability](),
        victim="prompted",
    )

    deployments: int = Field(default=5, ge=1, le=100)

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The guesses."""
        from threatloop.data.system_prompts import draw_prompts
        from threatloop.modality.conversation import write

        guesses = draw_prompts(self.deployments, bench.streams.numpy("guess"))
        return Evidence({"guess": write(guesses), "agreement": np.zeros(self.deployments)})
