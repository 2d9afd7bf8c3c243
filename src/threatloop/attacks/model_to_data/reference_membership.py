"""Membership inference on texts by the loss, calibrated by a model that never saw them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.token_membership import least_likely
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

    Returns the array ``score``, float64 (candidates,): log-likelihood of a token under the victim minus the same under
    the reference, averaged over the tokens that gained least; larger is more member-like, NaN where the budget ended
    before the record was asked. One query per candidate.

    Carlini et al. 2021, "Extracting Training Data from Large Language Models", arXiv 2012.07805, section 5.1, take the
    ratio of both log-perplexities; the difference is the likelihood ratio test (Mireshghallah et al. 2022, arXiv
    2203.03929, section 3), and needs no text to be equally hard per token. Both average over all tokens. Fewer are
    ours: tuning makes tokens of other texts less likely here and there, and of members hardly anywhere.

    Attributes:
        share: of a text's tokens, those that gained least, which count, in (0, 1]; 1 for all.

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

    share: float = Field(default=1.0, gt=0, le=1)

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""
        candidates = bench.data(Resource.CANDIDATES)
        reference: Any = bench.resource(Resource.REFERENCE)

        def gained(log_probs: npt.NDArray[np.float32], asked: Dataset) -> Floats:
            kind = modality.of(asked.schema)
            now, before = (
                kind.token_scores(answers, asked)[..., 0] for answers in (log_probs, reference.log_probs(asked.x))
            )
            return least_likely(now - before, self.share)

        def keep(scores: Floats) -> None:
            bench.progress.keep(Evidence({"score": scores}))

        return Evidence({"score": ask_values(source, candidates, bench.streams.numpy("order"), keep, gained)})
