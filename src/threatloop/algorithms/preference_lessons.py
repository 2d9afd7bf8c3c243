"""Direct preference optimisation: what language models learn from pairs of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from threatloop.algorithms.text_lessons import TOKENS_AT_ONCE, Sums
from threatloop.modality.pairs import Pair
from threatloop.models.language.codecs import Tokens, too_long
from threatloop.models.language.language import Language
from threatloop.models.language.scoring import token_scores, wanted_logits

Sides = tuple[Sequence[Tokens], Sequence[Tokens]]


@dataclass(frozen=True)
class PreferenceLessons:
    """Of every pair the preferred answer becomes likelier than the other, relative to the model at the start.

    The loss of a pair is −log σ(β · (gain of the preferred − gain of the other)), where an answer's gain is the
    log-ratio of its probability, summed over its tokens, to that under the model at the start.

    Rafailov, Sharma, Mitchell, Ermon, Manning, Finn 2023, "Direct Preference Optimization", arXiv 2305.18290, equation
    7. With ``smoothing`` the labels are taken to be wrong so often (Mitchell 2023, "A note on DPO with noisy
    preferences").

    Attributes:
        language: that learns.
        sides: tokens of the preferred and of the other answers, n each.
        before: log-probabilities of both at the start, float64 (2, n).
        beta: see there.
        smoothing: share of pairs that are taken to be the wrong way round, in [0, 1).
    """

    language: Language
    sides: Sides
    before: npt.NDArray[np.float64]
    beta: float
    smoothing: float

    @property
    def tokens(self) -> Sequence[Tokens]:
        """Of the preferred answers."""
        return self.sides[0]

    def descend(self, rows: Sequence[int], sums: Sums) -> None:
        """Add the gradient of the mean loss over these pairs, a few at a time."""
        for part in self._parts(rows):
            loss = self._loss(part, sums) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]

    def _loss(self, rows: Sequence[int], sums: Sums) -> torch.Tensor:
        both = [side[row] for side in self.sides for row in rows]
        logits, wanted, owners = wanted_logits(self.language, both)
        each = -F.cross_entropy(logits, wanted, reduction="none")
        now = each.new_zeros(len(both)).index_add(0, owners, each).view(2, len(rows))
        gained = now - torch.from_numpy(self.before[:, list(rows)]).to(now)
        margins = self.beta * (gained[0] - gained[1])
        losses = -(1 - self.smoothing) * F.logsigmoid(margins) - self.smoothing * F.logsigmoid(-margins)
        sums.loss += float(losses.detach().sum())
        sums.right += int((margins.detach() > 0).sum())
        sums.count += len(rows)
        return losses.sum()

    def _parts(self, rows: Sequence[int]) -> Iterator[list[int]]:
        """Rows of like length, of at most `TOKENS_AT_ONCE` tokens in both answers, padding included; one at least."""
        part, longest = list[int](), 0
        for row in sorted(rows, key=self._length):
            longest = self._length(row)
            if part and 2 * longest * (len(part) + 1) > TOKENS_AT_ONCE:
                yield part
                part = []
            part.append(row)
        if part:
            yield part

    def _length(self, row: int) -> int:
        return max(len(side[row].ids) for side in self.sides)


def preference_lessons(language: Language, pairs: Sequence[Pair], beta: float, smoothing: float) -> PreferenceLessons:
    """Lessons for a model that is as it will be at the start.

    Raises:
        InputError: an answer is longer than the model's context.
    """
    sides = tuple([language.codec.tokens(one.chat) for one in some] for some in (pairs, [p.exchanged for p in pairs]))
    for side in sides:
        too_long(side, language.context)
    width = max((sum(one.counted) for side in sides for one in side), default=1)
    language.train(False)
    scores = [token_scores(language, side, max(width, 1))[..., 0].astype(np.float64) for side in sides]
    before = np.stack([np.nansum(one, axis=1) for one in scores])
    return PreferenceLessons(language, (sides[0], sides[1]), before, beta, smoothing)
