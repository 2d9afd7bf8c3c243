"""Answers without scores."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from threatloop.algorithms.answers import answers
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class LabelsOnly(Serving):
    """Answers the most likely class and no score: its probability is 1, all others are next to 0.

    What labels alone give away stays: distances to the decision boundary tell members, and a thief trains on labels.
    Costs whoever needs a confidence.

    Shokri, Stronati, Song, Shmatikov 2017, "Membership Inference Attacks Against Machine Learning Models", arXiv
    1610.05820, section VIII; Choquette-Choo et al. 2021, "Label-Only Membership Inference Attacks", arXiv 2007.14321,
    show what it does not stop.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Labels only",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, arXiv 1610.05820, "
        "section VIII",
        atlas=("AML.M0002",),
    )

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        def labelled(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            found = respond(x)
            return answers(np.eye(found.shape[1])[found.argmax(axis=1)])

        return labelled
