"""A watermark in how tokens are drawn, which leaves their distribution as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.algorithms.keyed_tokens import KeyedTokens
from threatloop.algorithms.text_mark import TextMark
from threatloop.core.defence import DefenceInfo, Stage

if TYPE_CHECKING:
    import torch

    from threatloop.models.language.writing import Change, Rows

Floats = npt.NDArray[np.float64]


class Gumbel(TextMark):
    """The next token is the v of least −log(r_v) / p_v, where r are the numbers that key and context give to tokens.

    Over keys, every token is drawn as the model would draw it. A context that occurred before in a text would draw the
    same again, so there the model draws by chance. Without a mark each −log(1 − r) is exponential: their sum over the
    different grams of a text gives an exact p-value, and z is its standard score.

    Kuditipudi, Thickstun, Hashimoto, Liang 2023, "Robust Distortion-free Watermarks for Language Models", arXiv
    2307.15593, section 2.3 (exponential minimum sampling); keyed by the context instead of the position, as Aaronson
    proposed in 2022 (Kirchenbauer et al. 2023, arXiv 2301.10226, section 7), so that text may move.
    Two texts of one prompt are alike, therefore; a longer context makes that rarer than the paper's alignment does.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Distortion-free watermark",
        stage=Stage.DATA,
        modalities=frozenset({"text"}),
        paper="Kuditipudi, Thickstun, Hashimoto, Liang 2023, Robust Distortion-free Watermarks for Language Models, "
        "arXiv 2307.15593, section 2.3",
        atlas=("AML.M0007",),
    )

    context: int = Field(default=4, ge=1, le=16, description="tokens before a token that decide its number")

    def change(self, keyed: KeyedTokens) -> Change:
        """All weight on the token that the key draws, where the context is new."""
        import torch

        def drawn(rows: Rows, logits: torch.Tensor) -> torch.Tensor:
            fresh = [i for i, row in enumerate(rows) if _fresh(row, keyed.width)]
            if not fresh:
                return logits
            states = keyed.states([rows[i][-keyed.width :] for i in fresh])[:, None]
            numbers = torch.from_numpy(keyed.uniforms(keyed.words(states, np.arange(logits.shape[1]))))
            log_p = torch.log_softmax(logits[fresh].double().cpu() / self.temperature, 1)
            chosen = (torch.log(-torch.log(numbers)) - log_p).argmin(dim=1)
            changed = logits.clone()
            changed[fresh] = -torch.inf
            changed[torch.tensor(fresh), chosen] = 0.0
            return changed

        return drawn

    def evidence(self, numbers: Floats, owners: npt.NDArray[np.int64], texts: int) -> tuple[Floats, Floats]:
        """From the sum of −log(1 − r)."""
        from scipy.stats import gamma

        counted = np.bincount(owners, minlength=texts)
        sums = np.bincount(owners, -np.log1p(-numbers), texts)
        p = np.where(counted > 0, gamma.sf(sums, np.maximum(counted, 1)), 1.0)
        return (sums - counted) / np.sqrt(np.maximum(counted, 1)), p


def _fresh(row: Sequence[int], width: int) -> bool:
    """Whether the last tokens are a whole context that did not stand in the text before."""
    if len(row) < width:
        return False
    ids = np.asarray(row)
    windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], width) if len(ids) > width else ids[:0]
    return not (len(windows) and bool((windows == ids[-width:]).all(axis=1).any()))
