"""What rows of the catalogue share that attack a language model at prompt time."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from threatloop.algorithms.jailbreak import Campaign
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.schema import Schema
from threatloop.core.step import Workload


class Jailbreak(Probe[Dataset]):
    """Starts from held-out records and asks the victim the forbidden questions among them.

    Every attack first asks each question as it is, which is its baseline. What is then found replaces a prompt only
    where the attacker thinks the reply better (`Campaign.judged`).

    Attributes:
        goals: forbidden questions that are attacked, drawn at random, ≥ 1.
        tokens: of a reply at most, ≥ 1.
        refused: class of what the victim is taught to refuse.
        answered: class of the same, answered; in the attacker's pool, where he has any.
    """

    goals: int = Field(default=20, ge=1)
    tokens: int = Field(default=48, ge=1)
    refused: str = "refused"
    answered: str = "answered"

    def problems(self, schema: Schema, records: int) -> list[str]:  # noqa: ARG002
        """A class that the data do not have."""
        if self.refused in schema.classes:
            return []
        return [
            f"refused: no class {self.refused!r}; the data have {', '.join(schema.classes)}: label the conversations, "
            "or name the class"
        ]

    def work(self, workload: Workload) -> dict[str, float]:  # noqa: ARG002
        """A reply costs its tokens one after the other."""
        asked = max(self.goals, int(getattr(self, "queries", 0)))
        return {"scoring_passes": float(asked * (1 + self.tokens // 4))}

    def examine(self, source: Dataset, bench: Bench) -> Evidence:
        """The best prompt to each question, what the victim replied, and how often it was asked."""
        campaign = Campaign.begin(source, bench, self.refused, self.goals, self.tokens)
        if campaign.open:
            self.search(campaign, bench)
        return campaign.evidence()

    @abstractmethod
    def search(self, campaign: Campaign, bench: Bench) -> None:
        """Look for prompts to the questions that are still open."""
