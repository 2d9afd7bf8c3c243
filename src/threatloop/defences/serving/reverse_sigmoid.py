"""Deceptive answers: scores that fall where they should rise."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.answers import LEAST, answers, led_by, probabilities
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class ReverseSigmoid(Serving):
    """Takes β (σ(γ · logit p) − ½) off every probability, so that one answer comes from several probabilities.

    Sure answers fall and unlikely classes rise, not in order: a clone that learns from scores is led astray, and one
    that learns from labels is not, since the leading class stays. It draws nothing at random: asking again is no use.

    Lee, Edwards, Molloy, Su 2018, "Defending Against Machine Learning Model Stealing Attacks Using Deceptive
    Perturbations", arXiv 1806.00054, section 3.2 (β .7, γ .2). Unlike there, probabilities are cut at 1e-6, and the
    leading class is put first where the perturbation left another one there.

    Attributes:
        beta: the most that is taken off or added, times 2, in (0, 1].
        gamma: steepness, > 0; how fast the perturbation grows with the confidence.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Deceptive answers (reverse sigmoid)",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Lee, Edwards, Molloy, Su 2018, Defending Against Machine Learning Model Stealing Attacks Using "
        "Deceptive Perturbations, arXiv 1806.00054, section 3.2",
        atlas=("AML.M0002",),
    )

    beta: float = Field(default=0.7, gt=0, le=1)
    gamma: float = Field(default=0.2, gt=0, le=10)

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        def deceptive(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            exact = probabilities(respond(x))
            inside = np.clip(exact, LEAST, 1 - LEAST)
            odds = np.log(inside) - np.log1p(-inside)
            shares = np.maximum(exact - self.beta * (1 / (1 + np.exp(-self.gamma * odds)) - 0.5), 0)
            shares /= shares.sum(axis=1, keepdims=True)
            return answers(led_by(shares, exact.argmax(axis=1)))

        return deceptive
