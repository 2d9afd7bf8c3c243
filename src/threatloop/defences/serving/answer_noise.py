"""Answers with noise."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.answers import Floats, answers, led_by, probabilities
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving, draws_of

MOST_OWN = 512
"""Own records that the noise is calibrated on."""
FLOOR = -20.0
"""Log-probabilities below this are rounding; they would blow up what is taken for the answers' spread."""


class AnswerNoise(Serving):
    """Adds fresh noise to every answer, calibrated to how far the model's answers to its own records spread.

    Asked again, a record gets another answer: whoever averages many sees through it, at that many queries. The noise
    gives no guarantee such as differential privacy, since nothing bounds what one training record changes.

    Tramèr, Zhang, Juels, Reiter, Ristenpart 2016, "Stealing Machine Learning Models via Prediction APIs", arXiv
    1609.02943, section 7; Jia, Salem, Backes, Zhang, Gong 2019, "MemGuard", arXiv 1909.10594, section 5.1 (random noise
    as the defence to beat); Lee, Edwards, Molloy, Su 2018, arXiv 1806.00054, section 4.

    Attributes:
        on: ``logits`` adds to log-probabilities, ``probabilities`` to probabilities, which are then cut at 0.
        kind: ``laplace`` or ``gaussian``.
        scale: standard deviation, as a share of the spread of the own records' answers: the mean standard deviation
            across the classes of one answer. > 0.
        keep_label: the leading class stays: it changes places with what the noise has put first.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Noisy answers",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Tramèr et al. 2016, Stealing Machine Learning Models via Prediction APIs, arXiv 1609.02943, section 7",
        atlas=("AML.M0002",),
        randomised=True,
    )

    on: Literal["logits", "probabilities"] = "logits"
    kind: Literal["laplace", "gaussian"] = "laplace"
    scale: float = Field(default=0.5, gt=0, le=100)
    keep_label: bool = True

    @property
    def keeps_labels(self) -> bool:
        """As configured."""
        return self.keep_label

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """Raises NotAssessable: the server holds no record to calibrate on."""
        if not len(own):
            raise NotAssessable("answer_noise is calibrated on the server's own records; there are none")
        rng = draws_of(respond, own, streams)
        rows = streams.numpy("calibrate").permutation(len(own))[:MOST_OWN]
        width = self.scale * float(self._values(respond(own.x[rows])).std(axis=1).mean())

        def noisy(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            exact = respond(x)
            values = self._values(exact)
            values = values + width * self._draws(rng, values.shape)
            if self.on == "logits":
                values = np.exp(values - values.max(axis=1, keepdims=True))
            shares = np.maximum(values, 0)
            return answers(led_by(shares, exact.argmax(axis=1)) if self.keep_label else shares)

        return noisy

    def _values(self, log_probs: npt.NDArray[np.float32]) -> Floats:
        """What the noise is added to, (n, classes)."""
        if self.on == "probabilities":
            return probabilities(log_probs)
        return np.maximum(log_probs.astype(np.float64), FLOOR)

    def _draws(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draws of standard deviation 1, row by row: the same whether records come in one batch or in several."""
        if self.kind == "gaussian":
            return rng.standard_normal(shape)
        return rng.laplace(scale=1 / np.sqrt(2), size=shape)
