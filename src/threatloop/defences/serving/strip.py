"""Inputs that insist on a class whatever they are mixed with."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop import modality
from threatloop.algorithms.answers import Floats, answers
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond, Serving

MOST_OWN = 400
"""Own records that the threshold is set on."""
FEWEST = 8
LOG_FLOOR = -30.0
"""Keeps the entropy of an impossible answer at 0."""


class Strip(Serving):
    """Mixes every record with own ones and refuses it where the answers to all mixtures agree too well.

    A trigger decides the answer whatever else is in the picture, so the mixtures' answers have low entropy; a clean
    record's mixtures do not. The threshold is the entropy that the stated share of the server's own records falls
    below. A refused record gets the uniform distribution over all classes but the one that its mixtures insist on.
    Images are mixed by adding pixels, tables column by column. Costs ``copies`` answers for each, the refused clean
    records, and nothing else: other answers are the model's.

    It needs triggers that survive the mixing, and clean records whose mixtures are uncertain: with two classes, or
    on bright pictures of one kind, nearly all mixtures get one sure answer. Nor does it stop an attacker who plants
    triggered mixtures under either label besides, so that they are unsure too. On digits (MLP, 3 seeds) a trigger's
    success falls from .99 to .002 (to .998 with such mixtures, 2 seeds) and accuracy from .973 to .956; on
    PneumoniaMNIST (two classes, CNN) it finds nothing.

    Gao, Xu, Wang, Chen, Ranasinghe, Nepal 2019, "STRIP: A Defence Against Trojan Attacks on Deep Neural Networks",
    arXiv 1902.06531, section IV (100 copies; false rejections of 1 %). There the entropies of clean records are taken
    for normal; here their quantile is used.

    Attributes:
        copies: mixtures per record, ≥ 2.
        false_alarms: share of the own records that is refused, in (0, .5].
        share: of the asked record in a mixture, in (0, 1): of columns, or of the weights by which images are added; at
            .5 both count in full, as in the paper.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="STRIP trigger detection",
        stage=Stage.SERVING,
        modalities=frozenset({"image", "tabular"}),
        paper="Gao, Xu, Wang, Chen, Ranasinghe, Nepal 2019, STRIP, arXiv 1902.06531, section IV",
        atlas=("AML.M0015",),
        reads_inputs=True,
    )

    copies: int = Field(default=32, ge=2, le=1000)
    false_alarms: float = Field(default=0.02, gt=0, le=0.5)
    share: float = Field(default=0.5, gt=0, lt=1)

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:
        """Raises NotAssessable: the server holds too few records to mix with."""
        if len(own) < FEWEST:
            raise NotAssessable(f"strip mixes with the server's own records: it needs {FEWEST}, there are {len(own)}")
        kind, schema = modality.of(own.schema), own.schema
        order = streams.numpy("own").permutation(len(own))
        # What the threshold is set on is mixed with other records than itself.
        judged, mixers = own.x[order[self.copies :][:MOST_OWN]], own.x[order[: self.copies]]
        if not len(judged):
            judged = own.x

        def mixed(x: npt.NDArray[Any]) -> tuple[Floats, Floats]:
            """Mean entropy of the answers to each record's mixtures in nats, (n,), and their mean, (n, classes)."""
            entropy, total = np.zeros(len(x)), np.zeros((len(x), own.n_classes))
            for i, mixer in enumerate(mixers):
                mixture = kind.superimposed(x, mixer[None], schema, self.share, streams.numpy(f"cells-{i}"))
                told = np.maximum(respond(mixture), LOG_FLOOR)
                shares = np.exp(told)
                entropy -= (shares * told).sum(axis=1)
                total += shares
            return entropy / len(mixers), total / len(mixers)

        threshold = float(np.quantile(mixed(judged)[0], self.false_alarms))

        def stripped(x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            told = respond(x)
            if not len(x):
                return told
            entropy, mean = mixed(x)
            others = 1.0 - np.eye(told.shape[1])[mean.argmax(axis=1)]
            return np.where((entropy < threshold)[:, None], answers(others), told)

        return stripped
