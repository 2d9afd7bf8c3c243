"""A suspect that knows the owner's records better than others of the kind."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset, concatenate
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Claim, Verification
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training
from threatloop.modality import of

Values = npt.NDArray[np.float64]
FEWEST = 10
"""Records of either kind without which there is nothing to compare."""


class DatasetInference(Verification):
    """Asks whether the suspect is surer of the owner's records than of others, beyond chance. Plants nothing.

    The owner trains ``references`` models like his own, each on half of his and the outside records. From their answers
    each record gets what a model says of it that saw it, and one that did not; the suspect's answer is scored by the
    likelihood ratio of the two. If the suspect owes the owner nothing, own and outside records are interchangeable, so
    a permutation of the scores gives an exact p-value, whatever the scores. That holds only where the outside records
    are of the same kind, which the split of an audit ensures.

    The paper measures margins (gradient-based, or by random walks from labels) and learns their use from the owner's
    model; here it is scores, and the references take that part. It detects the model itself and its copies; a clone
    that was trained on answers about other records shows little of it on small data, where models generalise well.

    Maini, Yaghini, Papernot 2021, "Dataset Inference: Ownership Resolution in Machine Learning", arXiv 2104.10706,
    sections 4 and 5; likelihood ratios as in Carlini et al. 2022, arXiv 2112.03570, section V.

    Attributes:
        references: models, an even number ≥ 4.
        permutations: ≥ 99; the smallest p-value is 1 / (permutations + 1).
        most: records of either kind that are used, ≥ 10.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Dataset inference",
        stage=Stage.VERIFICATION,
        modalities=frozenset({"image", "tabular"}),
        paper="Maini, Yaghini, Papernot 2021, Dataset Inference: Ownership Resolution in Machine Learning, arXiv "
        "2104.10706, sections 4 and 5",
    )

    references: int = Field(default=16, ge=4, multiple_of=2)
    permutations: int = Field(default=9999, ge=99)
    most: int = Field(default=1000, ge=FEWEST)

    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:
        if min(len(own), len(outside)) < FEWEST:
            raise NotAssessable(f"dataset inference needs {FEWEST} own and {FEWEST} outside records")
        rng = streams.numpy("compared")
        sets = [data.take(rng.permutation(len(data))[: self.most]) for data in (own, outside)]
        both = concatenate(sets)
        score = self._scores(_signal(suspect(both.x), both), both, training, streams)
        count = len(sets[0])
        true = float(score[:count].mean() - score[count:].mean())
        return Claim(_permuted_p(score, count, self.permutations, rng), true)

    def _scores(self, found: Values, both: Dataset, training: Training, streams: Streams) -> Values:
        """How much more the suspect's answers look like those of models that saw the record, (n,)."""
        rng, half = streams.numpy("halves"), self.references // 2
        masks = np.argsort(rng.random((self.references, len(both))), axis=0) < half
        models = training.fit_many(both, masks, [streams.child(f"reference-{k}") for k in range(self.references)])
        signals = np.stack([_signal(answers, both) for answers in training.answers(models, both)])
        inside = np.where(masks, signals, 0).sum(axis=0) / half
        without = np.where(masks, 0, signals).sum(axis=0) / (self.references - half)
        spread = np.where(masks, signals - inside, signals - without).std(axis=0)
        spread = np.maximum(spread, np.median(spread)) + 1e-6
        return np.asarray((found - (inside + without) / 2) * (inside - without) / spread**2)


def _signal(log_probs: npt.NDArray[np.float32], data: Dataset) -> Values:
    return of(data.schema).membership_signal(log_probs, data)


def _permuted_p(score: Values, count: int, permutations: int, rng: np.random.Generator) -> float:
    """One-sided p-value of the first ``count`` scores' mean; ranks, so that no single record decides."""
    ranks = np.argsort(np.argsort(score, kind="stable"), kind="stable").astype(np.float64)
    true = ranks[:count].sum()
    drawn = np.fromiter((rng.permutation(ranks)[:count].sum() for _ in range(permutations)), np.float64)
    return float((1 + (drawn >= true).sum()) / (1 + permutations))
