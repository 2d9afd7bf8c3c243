"""Confident learning: records whose label other records contradict are left out."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Sanitiser, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class LabelNoiseFilter(Sanitiser):
    """Removes third-party records whose label is probably wrong, judged by models that never saw them.

    Third-party records are divided into folds; for each, a model is trained by the victim's recipe on the trusted
    records and the other folds. Confident learning estimates from its answers how often each class is taken for each
    other, and removes as many records of every such pair, the surest first. Costs ``folds`` trainings, and honest
    records that are hard to tell.

    Finds flipped labels. A backdoor passes: the models learn it from the other folds.

    Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068,
    section 3; their implementation, cleanlab. They know no trusted records: those are trained on and never removed.

    Attributes:
        folds: models, 2 to 20.
        method: ``prune_by_noise_rate`` removes by pair of classes, ``prune_by_class`` by class, ``both`` what both
            would, ``confident_learning`` every record that counts as confidently of another class.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Label-noise filter (confident learning)",
        stage=Stage.DATA,
        modalities=frozenset({"image", "tabular"}),
        paper="Northcutt, Jiang, Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, "
        "arXiv 1911.00068, section 3",
        atlas=("AML.M0007",),
    )

    folds: int = Field(default=5, ge=2, le=20)
    method: Literal["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"] = "prune_by_noise_rate"

    def keep(
        self, data: Dataset, trusted: npt.NDArray[np.bool_], training: Training, streams: Streams
    ) -> npt.NDArray[np.bool_]:
        """See `Sanitiser.keep`.

        Raises:
            NotAssessable: fewer than two third-party records.
        """
        from cleanlab.filter import find_label_issues

        from threatloop.algorithms.sanitising import folds, suspects

        rows = np.flatnonzero(suspects(trusted))
        count = min(self.folds, len(rows))
        if count < 2:
            raise NotAssessable(f"a label-noise filter needs two third-party records or more; there are {len(rows)}")
        labels = data.y[rows]
        fold = folds(labels, count, streams.numpy("folds"))
        masks = np.ones((count, len(data)), np.bool_)
        masks[fold, rows] = False
        models = training.fit_many(data, masks, [streams.child(f"fold-{k}") for k in range(count)])
        answers = training.answers(models, data.take(rows))[fold, np.arange(len(rows))]
        probabilities = np.exp(answers.astype(np.float64))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        with warnings.catch_warnings():
            # It says that it spares classes of very few records.
            warnings.simplefilter("ignore", UserWarning)
            wrong = find_label_issues(labels, probabilities, filter_by=self.method, n_jobs=1)
        kept = np.ones(len(data), np.bool_)
        kept[rows[wrong]] = False
        return kept
