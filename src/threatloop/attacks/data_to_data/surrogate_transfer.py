"""Adversarial examples that need no answer of the victim's."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.transferred import Transferred
from threatloop.core.access import Capability
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class SurrogateTransfer(Transferred):
    """Climbs the loss of a model that the attacker trained on the same records with his own labels.

    It differs from `Transfer` in the labels alone: same records, augmentation, order, steps and initial weights. The
    victim is never asked, so what fools it owes nothing to theft.

    Returns what `Evasion` says, but every attacked record comes back changed, as `Transferred` says.

    Papernot, McDaniel, Goodfellow 2016, "Transferability in Machine Learning", arXiv 1605.07277, section 3.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (transfer from a surrogate)",
        direction=Direction.DATA_TO_DATA,
        knowledge="labelled records of the same kind, the victim's architecture and recipe, and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Papernot, McDaniel, Goodfellow 2016, Transferability in Machine Learning, arXiv 1605.07277",
        baseline="identity",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0043.002", "AML.T0005.000", "AML.T0015"),
        sweep="epsilon",
    )

    def stand_in(self, bench: Bench) -> Service:
        """A model that learned the attacker's own labels."""
        from threatloop.algorithms.theft import imitate

        return imitate(bench, self.queries, self.answers, 10 * self.steps, self.architecture)
