"""Anti-backdoor learning: what is learned too easily is set apart and unlearned."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.training import Training


class AntiBackdoor(TrainingDefence):
    """Finds records that are learned faster than others, as records with a trigger are, and unlearns them.

    First, losses below ``gamma`` are climbed, so that only what is learned too easily falls through; the records with
    the smallest losses are set apart. The network then learns from the others, and at last descends on them while it
    ascends on those set apart, until it no more than guesses their label. What it gets wrong by then is left out, until
    it is learned again from the rest. All within the recipe's epochs; costs about twice the time of plain training. The
    notes hold the ``isolated`` records' ids.

    It rests on triggers being learned first: a trigger in few records, or one that is harder to learn than the records
    themselves, is not found, and ordinary records are set apart in their place.

    Li, Lyu, Koren, Lyu, Li, Ma 2021, "Anti-Backdoor Learning: Training Clean Models on Poisoned Data", arXiv
    2110.11571, section 3. Other than there: γ is small, since losses of small networks on small data fall further
    before triggers stand out; what is climbed at the end are bounded log-odds, since cross-entropy is flat where the
    network is sure; and records that share the suspects' fate are left out. These were chosen on digits and
    PneumoniaMNIST, where the published settings found no trigger; success still varies much over seeds.

    Attributes:
        share: of the records that is set apart, in (0, .5]; 1 % in the paper.
        gamma: loss in nats at which ordinary records are held, > 0.
        first: share of the epochs in which they are found, in (0, .5].
        last: share of the epochs in which they are unlearned, in (0, .5].
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Anti-backdoor learning",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular"}),
        paper="Li, Lyu, Koren, Lyu, Li, Ma 2021, Anti-Backdoor Learning: Training Clean Models on Poisoned Data, arXiv "
        "2110.11571, section 3",
        atlas=("AML.M0007",),
        excludes=("dp_sgd",),
    )

    share: float = Field(default=0.02, gt=0, le=0.5)
    gamma: float = Field(default=0.05, gt=0)
    first: float = Field(default=0.4, gt=0, le=0.5)
    last: float = Field(default=0.3, gt=0, le=0.5)

    def applied(self, training: Training) -> Training:
        """The training in three parts.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Isolation
        from threatloop.algorithms.method_training import with_parts

        return with_parts(training, isolation=Isolation(self.share, self.gamma, self.first, self.last))
