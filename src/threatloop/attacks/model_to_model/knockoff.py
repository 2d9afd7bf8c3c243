"""Functionality stealing: train a clone on the victim's answers."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.labelling import AsksVictim
from threatloop.core.access import Capability
from threatloop.core.bench import Resource
from threatloop.core.step import AttackInfo, Direction


class Knockoff(AsksVictim):
    """Knockoff Nets: ask the victim about a pool of records, train a clone on what it says.

    Threat model: black box. The thief has records of the victim's kind (or of another kind that fits its input), may
    ask ``queries`` of them, sees class probabilities or only the most likely class, and knows the architecture and
    recipe unless ``architecture`` says otherwise. He never sees a member.

    Returns a Service that the thief owns with full access. Against the published recipe (random queries, 100 epochs,
    soft cross-entropy) two things are stronger: steps do not shrink with the number of queries, and soft answers are
    flattened before training, which raises fidelity at the same number of queries.

    In a second lap (``feedback``) the queries are the recovered records, and training continues from the first clone.

    Orekondy, Schiele, Fritz 2019, "Knockoff Nets: Stealing Functionality of Black-Box Models", arXiv 1812.02766,
    section 4 (random strategy); Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs",
    arXiv 1609.02943.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Functionality stealing (Knockoff Nets)",
        direction=Direction.MODEL_TO_MODEL,
        knowledge="records of the same or another kind, the victim's architecture and recipe; none of its members",
        modalities=frozenset({"image", "tabular"}),
        metrics=("fidelity", "clone_accuracy", "backdoor_inherited"),
        paper="Orekondy, Schiele, Fritz 2019, Knockoff Nets, arXiv 1812.02766, section 4",
        baseline="surrogate",
        sweep="queries",
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
    )
