"""Answers with few digits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.answers import LEAST
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class Rounding(Serving):
    """Rounds probabilities; the most likely class stays where it was.

    Shokri, Stronati, Song, Shmatikov 2017, "Membership Inference Attacks Against Machine Learning Models", arXiv
    1610.05820, section VIII; Tramer, Zhang, Juels, Reiter, Ristenpart 2016, arXiv 1609.02943, section 7.

    Attributes:
        digits: decimals of every probability, 1 to 6.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Rounded answers",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, arXiv 1610.05820, "
        "section VIII",
        atlas=("AML.M0002",),
    )

    digits: int = Field(default=1, ge=1, le=6)

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        def rounded(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            exact = np.exp(respond(x).astype(np.float64))
            coarse = np.round(exact, self.digits)
            # Where rounding makes a tie, the class that led still does.
            coarse[np.arange(len(exact)), exact.argmax(axis=1)] += LEAST
            answers = np.log(np.maximum(coarse, LEAST) / np.maximum(coarse, LEAST).sum(axis=1, keepdims=True))
            return np.asarray(answers, dtype=np.float32)

        return rounded
