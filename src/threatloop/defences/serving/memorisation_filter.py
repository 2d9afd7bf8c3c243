"""Replies that repeat the training data."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, TextFilter


class MemorisationFilter(TextFilter):
    """Ends a reply before the word that would complete a run of ``words`` words of the server's own records.

    The runs lie in a Bloom filter, so that the server need not keep the texts beside it. Case and punctuation are
    passed over, and a run may begin in the prompt. Where the next word may complete one, next-token log-probabilities
    say nothing. Costs stock phrases that are as long, such as a refusal that was taught word by word.

    A run that is shorter is not stopped, so that a secret of few words needs a smaller ``words``; nor is one that is
    reworded, or spelled in another way: Ippolito et al. get memorised texts past such filters by asking for another
    style. They go on with another token where this ends the reply.

    Ippolito, Tramèr, Nasr, Zhang, Jagielski, Lee, Choquette-Choo, Carlini 2022, "Preventing Verbatim Memorization in
    Language Models Gives a False Sense of Privacy", arXiv 2210.17546, section 3 (runs of 10 tokens, which are about 8
    words).

    Attributes:
        words: of a run, ≥ 2.
        false_rate: at which the filter takes a stranger's run for an own one, in (0, .5].
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Memorisation filter (MemFree)",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Ippolito et al. 2022, Preventing Verbatim Memorization in Language Models Gives a False Sense of "
        "Privacy, arXiv 2210.17546, section 3",
        atlas=("AML.M0002", "AML.M0020"),
    )

    words: int = Field(default=8, ge=2, le=100)
    false_rate: float = Field(default=1e-4, gt=0, le=0.5)

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        from threatloop.algorithms.filtered_replies import Edited
        from threatloop.algorithms.memorised import Runs
        from threatloop.modality.conversation import read, text_of

        runs = Runs.of(read(own.x), self.words, self.false_rate)

        def hides(x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
            return np.array([runs.about_to(text_of(record)) for record in read(x)], np.bool_)

        return Edited(speaking, runs.cut, hides)
