"""The standard ensemble of evasion attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction, Workload

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class AutoAttack(GradientEvasion):
    """APGD-CE, APGD-T, FAB-T and Square in turn, each on the records that withstood those before it.

    Threat model: white box; the attacker knows the victim's gradients, scores and the true labels. The four fail in
    different ways, and Square does without gradients, so that a victim that hides them is still judged.

    With fewer than four classes the difference-of-logits ratio of APGD-T does not exist: the target's lead over the
    true class stands in, and the note ``dlr_replaced`` is 1. Targets are never more than the wrong classes.

    Returns what `Evasion` says. Asks per record at most 1 + (1 + targets) × (``steps`` + 1) questions for APGD, targets
    × (``steps`` + 6) for FAB-T and ``queries_per_record`` for Square. Notes ``broken_by_apgd_ce``,
    ``broken_by_apgd_t``, ``broken_by_fab_t`` and ``broken_by_square`` (records), ``gradient_nonzero``, ``loss_first``
    and ``loss_last`` (mean margin of the true class, before anything and after APGD-CE).

    Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", arXiv 2003.01690, section 5; its defaults: 100 steps, 9 targets, one restart, 5,000 queries.

    Attributes:
        steps: of APGD and of FAB, each run, ≥ 1.
        target_classes: how many wrong classes are aimed at, ≥ 1.
        queries_per_record: of Square, ≥ 1.

    Raises:
        NotAssessable: the victim gives no gradients.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Adversarial examples (AutoAttack)",
        direction=Direction.DATA_TO_DATA,
        knowledge="the victim's gradients and scores, and the true labels",
        modalities=frozenset({"image", "tabular"}),
        metrics=("evasion",),
        paper="Croce & Hein 2020, Reliable evaluation of adversarial robustness with an ensemble of diverse "
        "parameter-free attacks, arXiv 2003.01690, section 5",
        baseline="identity",
        needs=frozenset({Capability.GRADIENTS, Capability.SCORES}),
        resources=frozenset({Resource.VICTIM}),
        atlas=("AML.T0043.000", "AML.T0015"),
        sweep="epsilon",
    )

    steps: int = Field(default=100, ge=1)
    target_classes: int = Field(default=9, ge=1)
    queries_per_record: int = Field(default=5000, ge=1)

    def work(self, workload: Workload) -> dict[str, float]:
        """As if every record withstood everything."""
        targets = min(self.target_classes, workload.classes - 1)
        passes = ((1 + 2 * targets) * (self.steps + 1) + 1) * self.expectation
        n = self.attacked(workload)
        return {"training_passes": float(n * passes), "scoring_passes": float(n * self.queries_per_record)}

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """All four on one chunk."""
        import torch

        from threatloop.algorithms import combination
        from threatloop.algorithms.hunt import log_odds

        right, _ = hunt.begin(log_odds)
        classes = hunt.first_logits.shape[1]
        targets = min(self.target_classes, classes - 1)
        hunt.progress.note("dlr_replaced", float(classes < 4))
        margins = torch.zeros(len(hunt.labels))
        stages: dict[str, Callable[[], None]] = {
            "apgd_ce": lambda: combination.apgd_ce(hunt, right, self.steps, margins, generator),
            "apgd_t": lambda: combination.apgd_t(hunt, right, self.steps, targets, generator),
            "fab_t": lambda: combination.fab_t(hunt, right, self.steps, targets, generator),
            "square": lambda: combination.square(hunt, right, self.queries_per_record, generator),
        }
        for name, stage in stages.items():
            before = len(hunt.standing())
            stage()
            self._count(hunt, f"broken_by_{name}", before)
            if name == "apgd_ce":
                hunt.end(margins[right])

    def _count(self, hunt: Hunt, name: str, before: int) -> None:
        """Add to a note how many records of the chunk no longer withstand."""
        known, notes = before - len(hunt.standing()), hunt.progress.notes
        hunt.progress.note(name, notes.get(name, 0.0) + known)
