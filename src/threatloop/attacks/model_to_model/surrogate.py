"""What a thief gets without ever asking the victim."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.labelling import OwnLabels
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction


class Surrogate(OwnLabels):
    """A model on the same inputs, augmentation, order, steps and initial weights as the clone, with other labels.

    The labels are the attacker's own. Records of another kind have none, so a model trained on his own labelled pool
    (as many records as the clone has queries) answers in the victim's place. The victim is never asked; only what is
    left of the query budget is read, so that both arms see equally many records.

    Two models trained on the same kind of data agree on most inputs; only agreement beyond this one's is theft.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Surrogate trained on the attacker's own labels",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="records of the victim's kind with the attacker's own labels, the victim's architecture and recipe",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Jagielski et al. 2020, High Accuracy and High Fidelity Extraction, arXiv 1909.01838, section 4",
        baseline="surrogate",
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
