"""Prompts that no person would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, TextFilter

if TYPE_CHECKING:
    from threatloop.algorithms.surprise import Losses

FEWEST = 20
MOST = 400
"""Own prompts that the threshold is set on."""


class PerplexityFilter(TextFilter):
    """Refuses prompts that are more surprising than nearly all of the server's own.

    Surprise is the mean loss of what the user says, or the largest of ``window`` tokens in a row, which a short suffix
    behind a long question cannot dilute. The threshold is what the stated share of own prompts, half of them, lies
    above. Stops suffixes that were searched token by token; whatever a person could write passes: role play, many
    shots, requests in plain words. Whoever knows of it searches for fluent suffixes. Costs one scoring a prompt, and
    ``false_alarms`` of the honest ones: more of other languages, of code, and of what own prompts are not like.

    Alon & Kamfonas 2023, "Detecting Language Model Attacks with Perplexity", arXiv 2308.14132, section 4, with a
    quantile in place of their classifier on perplexity and length, which needs attacks to learn from; Jain et al. 2023,
    "Baseline Defenses for Adversarial Attacks Against Aligned Language Models", arXiv 2309.00614, section 4.1
    (windows).

    Attributes:
        by: whose surprise: the served ``model``'s, which must have learnt to read as well as to answer, or that of a
            model of the ``bytes`` of own prompts, which needs no model but some hundred prompts.
        window: tokens (bytes) in a row; 0 for the whole prompt.
        false_alarms: share of own prompts that is refused, in (0, .5].

    Raises:
        NotAssessable: fewer than 20 own prompts.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Perplexity filter",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Alon, Kamfonas 2023, Detecting Language Model Attacks with Perplexity, arXiv 2308.14132, section 4",
        atlas=("AML.M0015", "AML.M0020"),
        reads_inputs=True,
    )

    by: Literal["model", "bytes"] = "model"
    window: int = Field(default=10, ge=0)
    false_alarms: float = Field(default=0.02, gt=0, le=0.5)

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:
        from threatloop.algorithms.filtered_replies import Screened, said_by_user
        from threatloop.algorithms.surprise import strangest
        from threatloop.modality.conversation import prompt_of, read

        order = streams.numpy("own").permutation(len(own))
        known = [said_by_user(prompt_of(record)) for record in read(own.x[order])]
        if len(known) < FEWEST:
            raise NotAssessable(
                f"perplexity_filter needs {FEWEST} own prompts to know what is usual; it has {len(known)}"
            )
        judged, rest = known[: min(MOST, len(known) // 2)], known[len(known) // 2 :]
        losses = self._losses(rest, scores, own)

        def surprise(texts: list[str]) -> npt.NDArray[np.float64]:
            return np.array([strangest(one, self.window) for one in losses(texts)])

        threshold = float(np.quantile(surprise(judged), 1 - self.false_alarms))

        def blocked(x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
            return surprise([said_by_user(record) for record in read(x)]) > threshold

        return Screened(speaking, blocked)

    def _losses(self, rest: list[str], scores: Respond, own: Dataset) -> Losses:
        from threatloop.algorithms.surprise import by_bytes, by_model

        return by_bytes(rest) if self.by == "bytes" else by_model(scores, own.x.shape[1])
