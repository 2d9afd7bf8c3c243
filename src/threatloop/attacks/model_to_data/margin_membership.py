"""Membership inference on pairs of answers by the victim's own preference, without any other model."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from threatloop import modality
from threatloop.algorithms.membership import Floats
from threatloop.algorithms.pair_scores import ask_margins, log_likelihoods
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class MarginMembership(Probe[Service]):
    """Takes pairs for members whose preferred answer the victim makes much likelier than the other.

    Threat model: black box. The attacker holds candidate pairs and reads log-probabilities of the tokens of texts that
    he gives; he has no model to compare with, so that an answer which any model would prefer looks like a member's.

    Returns the array ``score``, float64 (candidates,): log-likelihood of the preferred answer minus the other's, in
    nats, per token with ``average: tokens``; larger is more member-like, NaN where the budget ended before the pair
    was asked. Two queries per candidate.

    The scores without a reference against which Feng et al. 2024, arXiv 2407.06443, section 5, compare theirs read
    single answers (`token_membership` does); this one reads the pair as Meng, Xia, Chen 2024, "SimPO", arXiv
    2405.14734, section 2.2, train one without a reference.

    Attributes:
        average: ``tokens`` divides each answer's log-likelihood by its number of tokens; ``none`` does not.

    Raises:
        NotAssessable: a candidate is no pair, or the budget does not suffice for one.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference of preference pairs by the margin alone",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate pairs of answers, half of them members; log-probabilities of their tokens",
        modalities=frozenset({"text"}),
        metrics=("membership",),
        paper="Feng, Kasa, Yun, Teo, Bodapati 2024, arXiv 2407.06443, section 5; Meng, Xia, Chen 2024, SimPO, arXiv "
        "2405.14734, section 2.2",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES}),
        atlas=("AML.T0024.000",),
    )

    average: Literal["tokens", "none"] = "tokens"

    def work(self, workload: Workload) -> dict[str, float]:
        """Both answers."""
        return {"scoring_passes": 2.0 * workload.records}

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""

        def per_token(log_probs: npt.NDArray[np.float32], asked: Dataset) -> Floats:
            return -modality.of(asked.schema).losses(log_probs, asked)

        def keep(scores: Floats) -> None:
            bench.progress.keep(Evidence({"score": scores}))

        signal = per_token if self.average == "tokens" else log_likelihoods
        candidates, order = bench.data(Resource.CANDIDATES), bench.streams.numpy("order")
        return Evidence({"score": ask_margins(source, candidates, order, keep, signal)})
