"""Functionality stealing with chosen queries."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.active import ActiveDistillation
from threatloop.algorithms.labelling import AsksVictim
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction


class ActiveTheft(ActiveDistillation, AsksVictim):
    """ActiveThief: a clone chooses which records of the pool the victim is asked about next.

    Threat model: as for random queries: black box, a pool of records of the victim's kind (or of another kind), class
    probabilities or labels, no members. The pool is worth more than the queries: where every record can be asked, there
    is nothing to choose.

    Returns a Service that the thief owns with full access. Budget and last training are those of the random thief
    (``knockoff``), so the difference between the two is what choosing is worth. Against the paper: uncertainty is the
    margin between the two likeliest classes instead of the entropy (fidelity depends on which class wins, and soft
    answers are flattened), and clones between rounds continue each other, which costs a fraction of training anew.

    The baseline chooses with its own clone, by the same strategy and from the same pool, but labels its choice itself:
    it may ask about other records than the thief, since a choice depends on the answers.

    Pal, Gupta, Shukla, Kanade, Shevade, Ganapathy 2020, "ActiveThief: Model Extraction Using Active Learning and
    Unannotated Public Data", AAAI; first as "A framework for the extraction of Deep Neural Networks by leveraging
    public data", arXiv 1905.09165, section 5.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Active functionality stealing (ActiveThief)",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="records of the same or another kind, the victim's architecture and recipe; none of its members",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Pal, Gupta, Shukla, Kanade, Shevade, Ganapathy 2020, ActiveThief, arXiv 1905.09165, section 5",
        baseline="active_surrogate",
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
