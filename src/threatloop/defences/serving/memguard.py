"""Noise that is an adversarial example for membership classifiers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.answers import answers, coins, distortion, led_by, probabilities
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving

FEWEST = 8


class MemGuard(Serving):
    """Changes answers, the leading class kept, until the defender's own membership classifier cannot decide.

    The paper's defender has records that he did not train on. This one has his own alone: he trains a small network on
    half of them, and his classifier on its answers to both halves; the victim's answers are brought to the same mean
    lead of the best class. The changed answer is given with the probability that brings the classifier nearest to one
    half on average while the expected l1 distance of the answer is at most ``budget``, and the coin is the same
    whenever a record is asked again (the paper's one-time randomness), so that averaging is no use. The noise is found
    by Newton steps on the classifier's log-odds in the logits; the paper descends a sum of penalties for up to 300
    steps. Costs the small network once, and about 20 passes through a tiny classifier per answer.

    It fools classifiers of answers that know nothing of it. Labels are untouched: label-only attacks pass.

    Jia, Salem, Backes, Zhang, Gong 2019, "MemGuard: Defending against Black-Box Membership Inference Attacks via
    Adversarial Examples", arXiv 1909.10594, sections 4.2 and 4.3.

    Attributes:
        budget: most expected l1 distance between an answer and the true one, in (0, 2].
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="MemGuard",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Jia, Salem, Backes, Zhang, Gong 2019, MemGuard, arXiv 1909.10594, section 4",
        atlas=("AML.M0002",),
    )

    budget: float = Field(default=1.0, gt=0, le=2)

    @property
    def keeps_labels(self) -> bool:
        """Always."""
        return True

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """Raises NotAssessable: the server holds too few records to learn from."""
        from threatloop.algorithms.membership_noise import lead, rival, undecided
        from threatloop.algorithms.own_models import Held

        if len(own) < FEWEST:
            raise NotAssessable(
                f"memguard learns from the server's own records: it needs {FEWEST}, there are {len(own)}"
            )
        held = Held.of(own, streams)
        judge, key = rival(held), streams.key("coins")
        ratio = judge.margin / max(lead(respond(held.data.x)), 1e-3)

        def guarded(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            told = respond(x)
            logits, before, after = undecided(judge, told, ratio)
            exact = probabilities(told)
            changed = led_by(probabilities(logits - logits.max(axis=1, keepdims=True)), exact.argmax(axis=1))
            share = np.minimum(1.0, self.budget / np.maximum(distortion(exact, changed), 1e-12))
            given = (coins(x, key) < share) & (after < before)
            return np.where(given[:, None], answers(changed), told)

        return guarded
