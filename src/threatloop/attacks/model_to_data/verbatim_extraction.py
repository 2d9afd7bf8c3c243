"""Extraction of training texts by their beginnings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.continuations import afforded, beginnings, continued
from threatloop.core.access import Capability
from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction, Workload


class VerbatimExtraction(ModelToData):
    """Gives the model the beginning of a text, and lets it go on with the likeliest tokens.

    Threat model: black box. The attacker knows the first part of candidate texts, or of conversations what the user
    said, and reads what the model writes behind it.

    Returns the candidates' beginnings with what was written, valid records whose ids are positions among the
    candidates. One query per candidate, in random order.

    Carlini, Ippolito, Jagielski, Lee, Tramèr, Zhang 2022, "Quantifying Memorization Across Neural Language Models",
    arXiv 2202.07646, section 3: 50 tokens after a given prefix, greedily. Their prefixes have a fixed number of tokens;
    ours are a share of each text, cut before white space, where tokens end for every tokenizer.

    Attributes:
        prefix: share of a document that the attacker knows, in (0, 1).
        tokens: written at most, ≥ 1.
        characters: of the true continuation that must be reproduced from its start on, ≥ 1; a shorter one wholly.
        queries: candidates asked at most, ≥ 1.

    Raises:
        NotAssessable: the budget does not suffice for one candidate, or none has anything behind its beginning.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Verbatim extraction by known beginnings",
        direction=Direction.MODEL_TO_DATA,
        knowledge="the first part of candidate texts, half of them members",
        modalities=frozenset({"text"}),
        metrics=("verbatim",),
        paper="Carlini, Ippolito, Jagielski, Lee, Tramèr, Zhang 2022, Quantifying Memorization Across Neural Language "
        "Models, arXiv 2202.07646, section 3",
        baseline="reference_continuation",
        needs=frozenset({Capability.TEXT}),
        resources=frozenset({Resource.PARTIAL}),
        atlas=("AML.T0057", "AML.T0024"),
        sweep="queries",
    )

    prefix: float = Field(default=0.5, gt=0, lt=1)
    tokens: int = Field(default=50, ge=1)
    characters: int = Field(default=50, ge=1)
    queries: int = Field(default=200, ge=1)

    def hidden(self, data: Dataset) -> Dataset:
        """What the attacker knows of the candidates."""
        return beginnings(data, self.prefix)

    def work(self, workload: Workload) -> dict[str, float]:
        """A pass over the text for every token that is written."""
        return {"scoring_passes": float(min(self.queries, workload.records) * self.tokens)}

    def recover(self, service: Service, bench: Bench) -> Dataset:
        """The candidates as the model goes on with them."""
        prompts = afforded(bench.data(Resource.PARTIAL), self.queries, bench.streams.numpy("order"))
        return continued(service, prompts, self.tokens, bench.streams.numpy("rest"), bench.progress.keep)
