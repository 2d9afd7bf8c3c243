"""Adversarial examples for a stolen clone, used against the victim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from threatloop.algorithms.fallback import with_hard_answers
from threatloop.algorithms.white_box import GradientEvasion
from threatloop.core.access import Capability
from threatloop.core.assets import Architecture, Dataset
from threatloop.core.attack import AttackInfo, Direction, Step, Workload
from threatloop.core.bench import Bench, Resource
from threatloop.core.defence import Adaptation

if TYPE_CHECKING:
    import torch

    from threatloop.algorithms.hunt import Hunt


class Transfer(GradientEvasion):
    """Steals a clone with labels or scores, then climbs the clone's loss with Auto-PGD.

    Threat model: black box; the attacker holds records of the victim's kind, asks about ``queries`` of them, and knows
    architecture and recipe unless ``architecture`` says otherwise. The victim is never asked about the attacked
    records. The climb goes on after the clone is fooled: what only just fools the clone seldom fools the victim. So
    every attacked record comes back changed, whether it fools the victim or not.

    Returns what `Evasion` says, with that exception. Notes ``gradient_nonzero``, ``loss_first`` and ``loss_last`` of
    the clone.

    Attributes:
        queries: records that the victim is asked about, ≥ 1.
        answers: the clone learns from class probabilities (``soft``) or the most likely class (``hard``).
        architecture: of the clone; None for the victim's.
        steps: of Auto-PGD on the clone, and least optimisation steps of its training in tens, ≥ 1.

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
        baseline="identity",
        needs=frozenset({Capability.LABELS, Capability.SCORES}),
        resources=frozenset({Resource.VICTIM, Resource.QUERY_POOL, Resource.LIFECYCLE}),
        atlas=("AML.T0043.002", "AML.T0005.001", "AML.T0015"),
        sweep="epsilon",
    )

    queries: int = Field(default=1000, ge=1)
    answers: Literal["soft", "hard"] = "soft"
    architecture: Architecture | None = None
    steps: int = Field(default=100, ge=1)

    def required(self) -> frozenset[Capability]:
        """Scores for soft answers, labels for hard ones; never both."""
        return frozenset({Capability.SCORES if self.answers == "soft" else Capability.LABELS})

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """The thief who learns from labels, where scores are withheld or falsified."""
        return with_hard_answers(self, super().adapted(to), to)

    def work(self, workload: Workload) -> dict[str, float]:
        """Training of the clone, and Auto-PGD on it."""
        from threatloop.algorithms.distil import enough

        epochs = enough(workload.recipe, self.queries, 10 * self.steps).epochs
        climbed = self.attacked(workload) * (self.steps + 2)
        return {"training_passes": float(self.queries * epochs + climbed), "scoring_passes": float(self.queries)}

    def unbounded(self) -> None:
        """None: what fools the clone need not fool the victim at any radius."""

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        """The records with the clone's adversarial examples in place of those that were attacked."""
        from threatloop.algorithms.theft import steal

        clone = steal(bench, self.queries, self.answers, 10 * self.steps, self.architecture)
        trial = self.trial(data, clone)
        self.perturb(trial, bench)
        return trial.result()

    def hunt(self, hunt: Hunt, generator: torch.Generator) -> None:
        """The points of highest loss of one chunk, for records that the clone gets wrong as well."""
        import torch

        from threatloop.algorithms.apgd import auto_pgd
        from threatloop.algorithms.hunt import log_odds

        everyone = torch.arange(len(hunt.labels))
        hunt.begin(log_odds)
        start = hunt.ball.start(generator)
        found, margins = auto_pgd(hunt, everyone, self.steps, log_odds, start, to_the_end=True)
        hunt.trial.replace(hunt.rows, found.contiguous().numpy())
        hunt.end(margins)
