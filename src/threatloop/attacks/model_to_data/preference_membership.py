"""Membership inference on pairs of answers by the reward that preference training left in the model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.pair_scores import ask_margins, log_likelihoods
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class PreferenceMembership(Probe[Service]):
    """Takes pairs for members whose preferred answer gained more on the other one than in the model before.

    Threat model: grey box. The attacker holds candidate pairs - a question, the answer that an annotator preferred and
    the other one - reads log-probabilities of the tokens of texts that he gives, and holds the public model that the
    victim was tuned from; where there is none, he trains one on his own pool by the victim's recipe, so that what is
    common to all pairs cancels.

    Returns the array ``score``, float64 (candidates,): the log-ratio of the preferred answer's probability under victim
    and reference, minus the other answer's, in nats, which is the implicit reward margin of direct preference
    optimisation divided by its β; larger is more member-like, NaN where the budget ended before the pair was asked. Two
    queries per candidate, one with ``sides: preferred``.

    Feng, Kasa, Yun, Teo, Bodapati 2024, "Exposing Privacy Gaps: Membership Inference Attack on Preference Data for LLM
    Alignment", arXiv 2407.06443, section 4 (PREMIA), who take the difference of the ratios themselves; ours is that of
    their logarithms, which is what Rafailov et al. 2023, arXiv 2305.18290, equation 7, train, and which a long answer
    cannot drive out of floating point.

    Attributes:
        sides: ``both`` answers, or the ``preferred`` one alone, as for training without the other.

    Raises:
        NotAssessable: a candidate is no pair, or the budget does not suffice for one.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference of preference pairs (PREMIA)",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate pairs of answers, half of them members; log-probabilities of their tokens; the model from "
        "which the victim was tuned, or else the victim's architecture and recipe",
        modalities=frozenset({"text"}),
        metrics=("membership",),
        paper="Feng, Kasa, Yun, Teo, Bodapati 2024, Exposing Privacy Gaps: Membership Inference Attack on Preference "
        "Data for LLM Alignment, arXiv 2407.06443, section 4",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.REFERENCE}),
        atlas=("AML.T0024.000",),
    )

    sides: Literal["both", "preferred"] = "both"

    def work(self, workload: Workload) -> dict[str, float]:
        """Both answers under both models."""
        return {"scoring_passes": float(workload.records * (4 if self.sides == "both" else 2))}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates, order = bench.data(Resource.CANDIDATES), bench.streams.numpy("order")
        reference: Any = bench.resource(Resource.REFERENCE)

        def gained(log_probs: npt.NDArray[np.float32], asked: Dataset) -> Floats:
            return log_likelihoods(log_probs, asked) - log_likelihoods(reference.log_probs(asked.x), asked)

        def keep(scores: Floats) -> None:
            bench.progress.keep(Evidence({"score": scores}))

        if self.sides == "preferred":
            return Evidence({"score": ask_values(source, candidates, order, keep, gained)})
        return Evidence({"score": ask_margins(source, candidates, order, keep, gained)})
