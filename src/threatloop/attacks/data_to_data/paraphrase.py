"""Removal of a text watermark by another model that writes the texts anew."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction, Workload


class Paraphrase(DataToData):
    """Lets the attacker's own language model write passages of the texts anew.

    Threat model: the attacker holds marked texts and a model of his own, trained on his own records (of an adapted
    model: its public base, which is the owner's too). By ``passages``, from left to right, the model proposes
    ``candidates`` continuations of what stands before, and the likeliest together with what follows replaces the
    passage; those that surprise the model most go first. A quality oracle picks among perturbations, as in Zhang et
    al., with likelihood in its place. By ``request``, a chat model is asked to put sentences in other words, which
    keeps meaning better; a model that was not tuned for chat cannot do it, and a small one copies much.

    Returns the texts, same labels and ids; questions stay as they are.

    Krishna, Song, Karpinska, Wieting, Iyyer 2023, "Paraphrasing evades detectors of AI-generated text", arXiv
    2303.13408, section 3; Zhang, Edelman, Francati, Venturi, Ateniese, Barak 2023, "Watermarks in the Sand", arXiv
    2311.04378, section 4.

    Attributes:
        share: of the passages or sentences that are rewritten, in (0, 1].
        by: ``passages`` or ``request``.
        length: tokens of a passage, ≥ 1.
        candidates: proposals for each passage, ≥ 1.

    Raises:
        NotAssessable: the victim's architecture writes no text.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Paraphrase",
        direction=Direction.DATA_TO_DATA,
        knowledge="a language model of his own; neither the key nor the detector",
        modalities=frozenset({"text"}),
        metrics=("text_watermark_escapes", "text_fidelity"),
        paper="Krishna, Song, Karpinska, Wieting, Iyyer 2023, Paraphrasing evades detectors of AI-generated text, "
        "arXiv 2303.13408, section 3",
        baseline="identity",
        resources=frozenset({Resource.QUERY_POOL, Resource.LIFECYCLE}),
        undoes=("green_list", "gumbel"),
        atlas=("AML.T0043",),
        sweep="share",
    )

    share: float = Field(default=0.8, gt=0, le=1)
    by: Literal["passages", "request"] = "passages"
    length: int = Field(default=8, ge=1, le=256)
    candidates: int = Field(default=4, ge=1, le=64)

    def work(self, workload: Workload) -> dict[str, float]:
        """A training on the pool; what is written counts as one reading of the text for each token."""
        written = self.share * (self.candidates if self.by == "passages" else 1) * workload.width
        trained = workload.records / 4 * workload.recipe.epochs
        return {"training_passes": trained, "scoring_passes": written * workload.records / 4}

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        from threatloop.algorithms.requests import reworded
        from threatloop.algorithms.rewriting import author_of, drafts_of, finished
        from threatloop.algorithms.spans import rewrite

        pool, training = bench.data(Resource.QUERY_POOL), bench.resource(Resource.LIFECYCLE)
        author, rng = author_of(training, pool, bench.streams.child("author")), bench.streams.numpy("paraphrase")
        if self.by == "request":
            return reworded(data, author, self.share, rng)
        drafts = drafts_of(data, author)
        rewrite(drafts, author, self.share, self.length, self.candidates, rng)
        return finished(data, drafts, author.codec)
