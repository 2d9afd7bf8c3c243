"""Membership inference on texts by the loss, calibrated by a model that never saw them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.token_membership import value_of
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class ReferenceMembership(Probe[Service]):
    """Takes texts for members that became likelier by the victim's tuning than they were before.

    Threat model: grey box. The attacker holds candidates, reads the log-probability of each of their tokens, and holds
    the public model that the victim was tuned from; where there is none, he trains one on his own pool by the victim's
    recipe.

    Returns the array ``score``, float64 (candidates,): mean log-likelihood per token under the victim minus the same
    under the reference; larger is more member-like, NaN where the budget ended before the record was asked. One query
    per candidate.

    Carlini et al. 2021, "Extracting Training Data from Large Language Models", arXiv 2012.07805, section 5.1, take the
    ratio of both log-perplexities; the difference is the likelihood ratio test (Mireshghallah et al. 2022, arXiv
    2203.03929, section 3), and needs no text to be equally hard per token.

    Raises:
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference by reference-calibrated loss",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate texts, half of them members; log-probabilities of their tokens; the model from which the "
        "victim was tuned, or else the victim's architecture and recipe",
        modalities=frozenset({"text"}),
        metrics=("membership",),
        paper="Carlini et al. 2021, Extracting Training Data from Large Language Models, arXiv 2012.07805, section "
        "5.1; Mireshghallah et al. 2022, arXiv 2203.03929, section 3",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES, Resource.REFERENCE}),
        atlas=("AML.T0024.000",),
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates = bench.data(Resource.CANDIDATES)
        reference: Any = bench.resource(Resource.REFERENCE)
        mean = value_of("loss", 1.0)

        def gained(log_probs: npt.NDArray[np.float32], asked: Dataset) -> Floats:
            return mean(log_probs, asked) - mean(reference.log_probs(asked.x), asked)

        def keep(scores: Floats) -> None:
            bench.progress.keep(Evidence({"score": scores}))

        return Evidence({"score": ask_values(source, candidates, bench.streams.numpy("order"), keep, gained)})
