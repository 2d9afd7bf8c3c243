"""Adversarial examples for a stolen clone, used against the victim."""

from __future__ import annotations

from typing import Any, ClassVar

from threatloop.algorithms.fallback import with_hard_answers
from threatloop.algorithms.transferred import Transferred
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Step


class Transfer(Transferred):
    """Steals a clone with labels or scores, then climbs the clone's loss with Auto-PGD.

    Threat model: black box; the attacker holds records of the victim's kind, asks about ``queries`` of them, and knows
    architecture and recipe unless ``architecture`` says otherwise. The victim is never asked about the attacked
    records.

    Returns what `Evasion` says, but every attacked record comes back changed, as `Transferred` says. Notes
    ``gradient_nonzero``, ``loss_first`` and ``loss_last`` of the clone.

    Raises:
        NotAssessable: no query is left, or the pool is too small and its records have no valid neighbours.

    Papernot, McDaniel, Goodfellow, Jha, Celik, Swami 2017, "Practical Black-Box Attacks against Machine Learning",
    arXiv 1602.02697, section 4; Croce, Hein 2020, arXiv 2003.01690, section 3.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (transfer from a clone)",
        direction=Direction.DATA_TO_DATA,
        knowledge="records of the same kind, the victim's architecture and recipe, and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Papernot et al. 2017, Practical Black-Box Attacks against Machine Learning, arXiv 1602.02697",
        baseline="surrogate_transfer",
        needs=frozenset({Capability.LABELS, Capability.SCORES}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0043.002", "AML.T0005.001", "AML.T0015"),
        sweep="epsilon",
    )

    def required(self) -> frozenset[Capability]:
        """Scores for soft answers, labels for hard ones; never both."""
        return frozenset({Capability.SCORES if self.answers == "soft" else Capability.LABELS})

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """The thief who learns from labels, where scores are withheld or falsified."""
        return with_hard_answers(self, super().adapted(to), to)

    def stand_in(self, bench: Bench) -> Service:
        """A clone that learned from the victim's answers."""
        from threatloop.algorithms.theft import steal

        return steal(bench, self.queries, self.answers, 10 * self.steps, self.architecture)
