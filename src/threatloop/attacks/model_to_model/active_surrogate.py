"""What an active thief gets without ever asking the victim."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.active import ActiveDistillation
from threatloop.algorithms.labelling import OwnLabels
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction


class ActiveSurrogate(ActiveDistillation, OwnLabels):
    """The active thief with the attacker's own labels in place of the victim's answers.

    Strategy, rounds, pool, recipe, steps, initial weights and streams are the thief's. A choice follows from the labels
    seen so far, so from the second round on the surrogate, which sees others, chooses for itself: giving it the
    thief's choice would leak what the victim answered.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Active surrogate trained on the attacker's own labels",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="records of the victim's kind with the attacker's own labels, the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Jagielski et al. 2020, High Accuracy and High Fidelity Extraction, arXiv 1909.01838, section 4",
        baseline="active_surrogate",
        needs=frozenset[Capability](),
        resources=frozenset(
            {
                Resource.QUERY_POOL,
                Resource.OUT_OF_DISTRIBUTION,
                Resource.LIFECYCLE,
                Resource.FEEDBACK,
                Resource.PREVIOUS,
            }
        ),
        sweep="queries",
    )
