"""Removal of a text watermark by swapping tokens."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction, Workload


class Substitution(DataToData):
    """Swaps a share of the tokens for what the attacker's own language model would rather have written there.

    Threat model: the attacker holds marked texts and a model of his own, trained on his own records (of an adapted
    model: its public base). He knows neither key nor detector. Where his model prefers another token by most, the mark
    is likely to have decided; those go first, so that the text becomes no less likely where that can be had.

    The paper swaps random tokens for what a masked model (T5) draws. Here a causal model, which is at hand wherever
    text is audited, proposes from what stands before and picks by what follows, in three rounds.

    Returns the texts, same labels and ids; questions stay as they are. Notes: ``swapped``, the share of tokens.

    Kirchenbauer, Geiping, Wen, Katz, Miers, Goldstein 2023, "A Watermark for Large Language Models", arXiv 2301.10226,
    section 5 (substitution attacks; shares of .1 to .7).

    Attributes:
        share: of the tokens that are swapped, in (0, 1].
        candidates: proposals for each, of which the one that fits what follows is taken, ≥ 1; 1 is cheapest.

    Raises:
        NotAssessable: the victim's architecture writes no text.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Token substitution",
        direction=Direction.DATA_TO_DATA,
        knowledge="a language model of his own; neither the key nor the detector",
        modalities=frozenset({"text"}),
        metrics=("text_watermark_escapes", "text_fidelity"),
        paper="Kirchenbauer, Geiping, Wen, Katz, Miers, Goldstein 2023, A Watermark for Large Language Models, "
        "arXiv 2301.10226, section 5",
        baseline="identity",
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        undoes=("green_list", "gumbel"),
        atlas=("AML.T0043",),
        sweep="share",
    )

    share: float = Field(default=0.3, gt=0, le=1)
    candidates: int = Field(default=4, ge=1, le=64)

    def work(self, workload: Workload) -> dict[str, float]:
        """A training on the pool, three readings of the texts, and half a text for every proposal."""
        readings = 3.0 + (self.share * self.candidates * workload.width / 2 if self.candidates > 1 else 0)
        trained = workload.records / 4 * workload.recipe.epochs
        return {"training_passes": trained, "scoring_passes": readings * workload.records / 4}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.rewriting import author_of, drafts_of, finished
        from threatloop.algorithms.swaps import swap

        pool, training = bench.data(Resource.QUERY_POOL), bench.resource(Resource.LIFECYCLE)
        author = author_of(training, pool, bench.streams.child("author"))
        drafts = drafts_of(data, author)
        bench.progress.note("swapped", swap(drafts, author, self.share, self.candidates))
        return finished(data, drafts, author.codec)
