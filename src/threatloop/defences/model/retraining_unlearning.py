"""Exact unlearning: training again without the records."""

from __future__ import annotations

from typing import ClassVar

from threatloop.algorithms.forgetting import Unlearning
from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class RetrainingUnlearning(Unlearning):
    """Trains a new model on everything but the records to be forgotten.

    What comes out has the distribution of models that never saw them: nothing can be more forgotten, and what other
    unlearning is measured by. Costs a training. Repairs that are named before it are undone: name it first.

    Bourtoule, Chandrasekaran, Choquette-Choo, Jia, Travers, Zhang, Lie, Papernot 2021, "Machine Unlearning", arXiv
    1912.03817, section III (the naive strategy; not its shards, which answer as a vote of several networks).

    Attributes:
        share: of the own records, drawn at random in each seed, in (0, 1).
        ids: of the records to forget (their numbers in the data as it was read), instead of a share.

    Raises:
        NotAssessable: nothing would be left to train on.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Unlearning by retraining",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular", "text"}),
        paper="Bourtoule et al. 2021, Machine Unlearning, arXiv 1912.03817, section III",
    )

    def forget(self, model: Model, kept: Dataset, gone: Dataset, training: Training, streams: Streams) -> Model:  # noqa: ARG002
        return training.fit(kept, streams)
