"""Functionality stealing from a handful of records, multiplied along the clone's gradients."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.jacobian import JacobianDistillation
from threatloop.algorithms.labelling import AsksVictim
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction


class JacobianAugmentation(JacobianDistillation, AsksVictim):
    """Jacobian-based dataset augmentation: each round asks about the known records, moved by the clone's gradient.

    Threat model: black box. The thief holds only ``seeds`` records, sees class probabilities or labels, and knows
    architecture and recipe unless ``architecture`` says otherwise. He never sees a member. One query per record: seeds
    and synthetic ones together are ``queries``, the last round being cut at random.

    Returns a Service that the thief owns with full access. ``direction: self`` is the published JBDA step (the sign of
    the answered class's Jacobian row); ``random``, the default, is PRADA's targeted variant (JBDA-TR), which crosses
    more decision boundaries. Steps are shares of the seeds' range, so that they mean the same in a table's columns.
    Integer and categorical cells stay on their grid, and a step may leave them as they are. Clones between rounds
    continue each other; the last one trains like the random thief's (``knockoff``).

    The baseline has the same seeds and the same rounds. It moves them by its own clone's gradients, and a model
    trained on the seeds' own labels answers for moved records: the attacker cannot know what the victim would say.

    Papernot, McDaniel, Goodfellow, Jha, Celik, Swami 2017, "Practical Black-Box Attacks against Machine Learning",
    arXiv 1602.02697, section 4; Juuti, Szyller, Marchal, Asokan 2019, "PRADA: Protecting against DNN Model Stealing
    Attacks", arXiv 1805.02628, section 3.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Jacobian-based augmentation (JBDA)",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="a few records of the same or another kind, the victim's architecture and recipe; no members",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Papernot, McDaniel, Goodfellow, Jha, Celik, Swami 2017, Practical Black-Box Attacks, arXiv 1602.02697, "
        "section 4; Juuti, Szyller, Marchal, Asokan 2019, PRADA, arXiv 1805.02628, section 3",
        baseline="jacobian_surrogate",
        needs=frozenset({Capability.SCORES, Capability.LABELS}),
        resources=frozenset(
            {
                Resource.QUERY_POOL,
                Resource.OUT_OF_DISTRIBUTION,
                Resource.LIFECYCLE,
                Resource.FEEDBACK,
                Resource.PREVIOUS,
            }
        ),
        atlas=("AML.T0024.002", "AML.T0005.001"),
        sweep="queries",
    )
