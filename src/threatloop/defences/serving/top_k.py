"""Answers with the scores of a few classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.answers import answers, led_by, probabilities
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class TopK(Serving):
    """Shows the probabilities of the ``k`` most likely classes; the rest is spread evenly over the other classes.

    Evenly is what anyone can fill in, so the answer holds what the ``k`` probabilities tell and nothing else. The mass
    outside them is the confidence, which membership attacks read: expect less than from withholding all scores.

    Shokri, Stronati, Song, Shmatikov 2017, "Membership Inference Attacks Against Machine Learning Models", arXiv
    1610.05820, section VIII (k of 1 and 3); Tramèr, Zhang, Juels, Reiter, Ristenpart 2016, arXiv 1609.02943.

    Attributes:
        k: classes whose probabilities are shown, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Top-k answers",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, arXiv 1610.05820, "
        "section VIII",
        atlas=("AML.M0002",),
    )

    k: int = Field(default=3, ge=1)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """So many classes that the others' probabilities follow from those that are shown."""
        classes = len(schema.classes)
        if self.k <= classes - 2:
            return []
        most = f"use k of 1 to {classes - 2}, or labels_only" if classes > 2 else "use labels_only or rounding"
        return [f"top_k: {self.k} of {classes} probabilities leave nothing out, since all sum to 1; {most}"]

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        def truncated(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            whole = probabilities(respond(x))
            hidden = np.argsort(-whole, axis=1, kind="stable")[:, self.k :]
            shown, rows = whole.copy(), np.arange(len(whole))[:, None]
            shown[rows, hidden] = whole[rows, hidden].mean(axis=1, keepdims=True) if hidden.shape[1] else 0.0
            return answers(led_by(shown, whole.argmax(axis=1)))

        return truncated
