"""Log-probabilities of few tokens, or of none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, Serving

FEW = 64
"""Own records whose mean stands for the scores that are withheld."""
SURE = -1e-3
"""Log-probability of the one token that is shown where no log-probability is."""


class LogprobRestriction(Serving):
    """Shows the log-probabilities of the ``top`` likeliest next tokens, and takes no bias.

    The rest is spread evenly over the other tokens, which is what anyone can fill in. Scores of texts that are handed
    over whole are withheld: every token's are the mean over the server's own records. Replies are the model's own.

    Stops the exact theft of a last layer, which needs a bias or all logits, and membership attacks on losses; a thief
    who trains on replies, and whoever extracts texts by asking for them, lose little. Costs whoever needs scores.

    Carlini et al. 2024, "Stealing Part of a Production Language Model", arXiv 2403.06634, section 7 (no logit bias, no
    log-probabilities); Finlayson, Ren, Swayamdipta 2024, "Logits of API-Protected LLMs Leak Proprietary Information",
    arXiv 2403.09539, section 8.

    Attributes:
        top: tokens whose log-probabilities are shown; 0 shows which is the likeliest, and no more.
        bias: whether a bias of the logits is taken.
        scores: whether scores of given texts are shown.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Log-probability restriction",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Carlini et al. 2024, Stealing Part of a Production Language Model, arXiv 2403.06634, section 7",
        atlas=("AML.M0002",),
    )

    top: int = Field(default=5, ge=0)
    bias: bool = False
    scores: bool = False

    def bind(self, respond: Respond, own: Dataset, streams: Streams) -> Respond:  # noqa: ARG002
        if self.scores:
            return respond
        told = respond(own.x[:FEW]) if len(own) else np.zeros((1, 1, 3), np.float32)
        usual = np.nanmean(told.reshape(-1, told.shape[-1]), axis=0).astype(np.float32)
        return lambda x: np.where(np.isnan(found := respond(x)), found, usual)

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        return _Restricted(speaking, self.top, self.bias)


@dataclass(frozen=True)
class _Restricted:
    inner: Speaking
    top: int
    bias: bool

    def replies(self, x: npt.NDArray[Any], tokens: int, temperature: float = 0.0, seed: int | None = None) -> list[str]:
        return self.inner.replies(x, tokens, temperature, seed)

    def next_log_probs(
        self, x: npt.NDArray[Any], bias: Sequence[Mapping[int, float]] | None = None
    ) -> npt.NDArray[np.float32]:
        whole = self.inner.next_log_probs(x, bias if self.bias else None).astype(np.float64)
        words = whole.shape[1]
        if self.top >= words:
            return whole.astype(np.float32)
        shown = np.argsort(-whole, axis=1, kind="stable")[:, : max(1, self.top)]
        kept = np.take_along_axis(whole, shown, 1) if self.top else np.full((len(whole), 1), SURE)
        rest = np.log(np.maximum(1 - np.exp(kept).sum(axis=1), 1e-12) / (words - kept.shape[1]))
        found = np.repeat(rest[:, None], words, axis=1)
        np.put_along_axis(found, shown, kept, 1)
        return found.astype(np.float32)
