"""A watermark that favours a keyed list of tokens."""

from __future__ import annotations

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


class GreenList(TextMark):
    """Before every token the last ones and the key choose green tokens, whose logits are raised.

    A token is green with probability ``gamma``, each by itself, where the paper's lists hold exactly that share: the
    detector then needs the numbers of the tokens that are there alone, and its p-value is an exact binomial tail. z is
    the paper's, of green tokens among the different grams of a text.

    Kirchenbauer, Geiping, Wen, Katz, Miers, Goldstein 2023, "A Watermark for Large Language Models", arXiv 2301.10226,
    algorithm 2 and section 3.

    Attributes:
        gamma: share of green tokens, in (0, 1).
        delta: added to their logits, > 0.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Green-list watermark",
        stage=Stage.DATA,
        modalities=frozenset({"text"}),
        paper="Kirchenbauer, Geiping, Wen, Katz, Miers, Goldstein 2023, A Watermark for Large Language Models, "
        "arXiv 2301.10226",
        atlas=("AML.M0007",),
    )

    gamma: float = Field(default=0.25, gt=0, lt=1)
    delta: float = Field(default=2.0, gt=0, le=20)

    def change(self, keyed: KeyedTokens) -> Change:
        """Adds ``delta`` to green tokens."""
        import torch

        def raised(rows: Rows, logits: torch.Tensor) -> torch.Tensor:
            whole = [i for i, row in enumerate(rows) if len(row) >= keyed.width]
            if not whole:
                return logits
            states = keyed.states([rows[i][-keyed.width :] for i in whole])[:, None]
            green = keyed.uniforms(keyed.words(states, np.arange(logits.shape[1]))) < self.gamma
            changed = logits.clone()
            changed[whole] += self.delta * torch.from_numpy(green).to(logits)
            return changed

        return raised

    def evidence(self, numbers: Floats, owners: npt.NDArray[np.int64], texts: int) -> tuple[Floats, Floats]:
        """From the number of green tokens."""
        from scipy.stats import binom

        counted = np.bincount(owners, minlength=texts)
        green = np.bincount(owners, numbers < self.gamma, texts)
        spread = np.sqrt(np.maximum(counted, 1) * self.gamma * (1 - self.gamma))
        return (green - self.gamma * counted) / spread, np.asarray(binom.sf(green - 1, counted, self.gamma))
