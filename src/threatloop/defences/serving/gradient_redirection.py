"""Answers that steer a thief's training."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.answers import answers, led_by, probabilities
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving


class GradientRedirection(Serving):
    """GRAD²: of all answers within a budget, the one whose gradient points farthest along one direction of the weights.

    A thief who trains on such answers is pushed the same way by every one of them. The direction is all ones, the
    paper's best; the gradients are those of a small student that the server trains for a few epochs on its own records,
    and they transfer to the thief's network in part. The leading class stays, so a thief who trains on labels is not
    steered. It draws nothing at random. Costs the student once, and about two of its passes per answer.

    Mazeika, Li, Forsyth 2022, "How to Steer Your Adversary: Targeted and Efficient Model Stealing Defenses with
    Gradient Redirection", arXiv 2206.14157, section 4; with kept labels as in Orekondy, Schiele, Fritz 2020,
    "Prediction Poisoning", arXiv 1906.10908, section 4 (MAD-argmax). Where labels are kept the solution is that of a
    greedy rule: exact while the leader's lead is not at stake, else above .8 of the gain of the linear programme.

    Attributes:
        budget: most l1 distance between an answer and the true one, in (0, 2].
        epochs: of the student, ≥ 1; a student that has converged has small gradients.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Gradient redirection (GRAD²)",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Mazeika, Li, Forsyth 2022, How to Steer Your Adversary, arXiv 2206.14157, section 4; Orekondy, Schiele, "
        "Fritz 2020, Prediction Poisoning, arXiv 1906.10908, section 4",
        atlas=("AML.M0002",),
    )

    budget: float = Field(default=1.0, gt=0, le=2)
    epochs: int = Field(default=5, ge=1, le=200)

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """Raises NotAssessable: the server holds no record to train the student on."""
        from threatloop.algorithms.own_models import Held, student
        from threatloop.algorithms.redirection import STEP, redirected, slopes

        if not len(own):
            raise NotAssessable("gradient_redirection trains on the server's own records; there are none")
        below, above = (student(Held.of(own, streams), self.epochs, shift) for shift in (-STEP, STEP))
        kind = modality.of(own.schema)

        def steered(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            exact = probabilities(respond(x))
            gains = slopes(below, above, np.asarray(kind.encode(x, own.schema), np.float32))
            return answers(led_by(redirected(exact, gains, self.budget), exact.argmax(axis=1)))

        return steered
