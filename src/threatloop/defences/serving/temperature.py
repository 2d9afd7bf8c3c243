"""Flattened answers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class Temperature(Serving):
    """Raises the entropy of every answer: softmax(log p / temperature).

    A one-to-one map: whoever knows the temperature undoes it, as the adaptive attacker does. It stops attackers who
    compare answers with undefended models or with fixed thresholds, and no others.

    Shokri, Stronati, Song, Shmatikov 2017, "Membership Inference Attacks Against Machine Learning Models", arXiv
    1610.05820, section VIII (temperatures of 5 and 20).

    Attributes:
        temperature: > 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Flattened answers (temperature)",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, arXiv 1610.05820, "
        "section VIII",
        atlas=("AML.M0002",),
        reversible=True,
    )

    temperature: float = Field(default=20.0, gt=1, le=1000)

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        def flattened(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            scaled = respond(x).astype(np.float64) / self.temperature
            scaled -= scaled.max(axis=1, keepdims=True)
            return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)), dtype=np.float32)

        return flattened
