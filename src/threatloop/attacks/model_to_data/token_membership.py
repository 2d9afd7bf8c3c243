"""Membership inference on texts by the scores of their tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from threatloop.algorithms.membership import Floats, ask_values
from threatloop.algorithms.token_membership import value_of
from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class TokenMembership(Probe[Service]):
    """Takes texts for members whose least likely tokens are likely, or that are likelier than their compression says.

    Threat model: grey box. The attacker holds candidates and reads the log-probability of each of their tokens; he
    trains nothing and has no other model.

    Returns the array ``score``, float64 (candidates,), larger is more member-like, NaN where the budget ended before
    the record was asked; one query per candidate:

    - ``loss``: mean log-likelihood per token (Yeom et al. 2018, arXiv 1709.01604, section 3);
    - ``zlib``: that over the bits that zlib needs for the text (Carlini et al. 2021, arXiv 2012.07805, section 5.1);
    - ``min_k``: mean log-likelihood of the ``share`` of tokens that are least likely (Shi et al. 2023, "Detecting
      Pretraining Data from Large Language Models", arXiv 2310.16789, section 4);
    - ``min_k_plus_plus``: the same with each token's log-likelihood in standard deviations from the mean over the
      vocabulary at its place (Zhang et al. 2024, "Min-K%++", arXiv 2404.02936, section 4).

    Of a conversation, what the assistant says counts.

    Attributes:
        score: one of these.
        share: of the tokens that ``min_k`` and ``min_k_plus_plus`` look at, in (0, 1]; .2 as in both papers.

    Raises:
        NotAssessable: the budget does not suffice for one record.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Membership inference by tokens (loss, zlib, Min-K%, Min-K%++)",
        direction=Direction.MODEL_TO_DATA,
        knowledge="candidate texts, half of them members; log-probabilities of their tokens",
        modalities=frozenset({"text"}),
        metrics=("membership",),
        paper="Shi et al. 2023, Detecting Pretraining Data from Large Language Models, arXiv 2310.16789; Zhang et al. "
        "2024, Min-K%++, arXiv 2404.02936; Carlini et al. 2021, arXiv 2012.07805, section 5.1",
        baseline="prior_membership",
        needs=frozenset({Capability.SCORES}),
        resources=frozenset({Resource.CANDIDATES}),
        atlas=("AML.T0024.000",),
    )

    score: Literal["loss", "zlib", "min_k", "min_k_plus_plus"] = "min_k_plus_plus"
    share: float = Field(default=0.2, gt=0, le=1)

    def examine(self, source: Service, bench: Bench) -> Evidence:
        """The scores of all candidates."""

        def keep(scores: Floats) -> None:
            bench.progress.keep(Evidence({"score": scores}))

        candidates, order = bench.data(Resource.CANDIDATES), bench.streams.numpy("order")
        return Evidence({"score": ask_values(source, candidates, order, keep, value_of(self.score, self.share))})
