"""Which combinations of defences work, as Def\\Con asks it (Duddu, Zhang, Asokan 2024, arXiv 2411.09776): without a
significant drop in what each defence does alone.

A combination works if no constituent loses its own effect and the model keeps its use: wherever a defence alone lowers
an attack's risk by at least the margin, the combination's risk lies at most the margin above that of the defence
alone; and its accuracy is within .05 of its least accurate constituent's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from threatloop.analysis.effects import RATE_MARGIN
from threatloop.analysis.recommendation.responses import Means, Responses, Seeds
from threatloop.analysis.recommendation.sets import Bools, Members
from threatloop.numerics.arrays import Floats

Outcome = Literal["works", "fails", "undecided"]
LEVEL: Final = 0.95
"""Of the one-sided bounds that decide."""
FEWEST_SEEDS: Final = 3


def works(combined: Floats, accuracy: Floats, members: Sequence[Members], measured: Responses, means: Means) -> Bools:
    """(m,): which combinations work by these figures alone, however uncertain they are.

    Args:
        combined: (m, attacks), their risks. accuracy: (m,).
        means: of the single defences and of no defence, over the seeds on which this is judged.
    """
    at = {one: row for row, one in enumerate(measured.sets)}
    found = np.zeros(len(members), np.bool_)
    for i, one in enumerate(members):
        alone = [at[frozenset([part])] for part in one]
        risk, own = means.risk[alone], means.risk[0] - means.risk[alone] >= measured.tolerances
        lost = (own & (combined[i] > risk + measured.tolerances)).any()
        useful = accuracy[i] >= np.nanmin(means.accuracy[alone]) - RATE_MARGIN
        found[i] = not lost and bool(useful)
    return found


def outcomes(measured: Responses, rows: Sequence[int] | npt.NDArray[np.int64], seeds: Seeds) -> list[Outcome]:
    """What these seeds show of measured combinations, by one-sided t bounds on differences paired by seed.

    A combination *fails* if an effect that a constituent is shown to have is shown to be lost, or use is shown to be
    lost. It *works* if every effect that a constituent may have is shown to be kept, and the use too. Else it is
    *undecided*: these seeds are too few to say, and no prediction can be held against them.
    """
    if len(seeds) < FEWEST_SEEDS:
        return ["undecided" for _ in rows]
    at = {one: row for row, one in enumerate(measured.sets)}
    risk, accuracy = _worse_arm(measured, seeds), measured.accuracy[:, seeds]
    return [
        _outcome(row, [at[frozenset([part])] for part in measured.sets[row]], risk, accuracy, measured.tolerances)
        for row in rows
    ]


def _outcome(row: int, alone: list[int], risk: Floats, accuracy: Floats, margins: Floats) -> Outcome:
    own = _Bounds.of(risk[0] - risk[alone])
    loss = _Bounds.of(risk[row] - risk[alone] - margins[:, None])
    least = alone[int(np.argmin(np.nanmean(accuracy[alone], axis=1)))]
    use = _Bounds.of(accuracy[least] - accuracy[row] - RATE_MARGIN)
    shown, possible = (own.low > 0) & (own.mean >= margins), own.high > margins
    if (shown & (loss.low > 0)).any() or bool(use.low > 0):
        return "fails"
    if (possible & (loss.high > 0)).any() or bool(use.high > 0):
        return "undecided"
    return "works"


@dataclass(frozen=True)
class _Bounds:
    """Mean over the last axis with its one-sided lower and upper bounds; NaN where a seed is missing."""

    mean: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, differences: Floats) -> Self:
        n = differences.shape[-1]
        mean = np.asarray(differences.mean(axis=-1))
        reach = float(stdtrit(n - 1, LEVEL)) * np.asarray(differences.std(axis=-1, ddof=1)) / np.sqrt(n)
        return cls(mean, mean - reach, mean + reach)


def _worse_arm(measured: Responses, seeds: Seeds) -> Floats:
    """(sets, attacks, seeds): risk in the arm of the larger mean over these seeds."""
    arms = measured.arms[..., seeds]
    known = ~np.isnan(arms)
    sums, counts = np.where(known, arms, 0.0).sum(-1), known.sum(-1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
    found: Floats = np.take_along_axis(arms, means.argmax(axis=0)[None, :, :, None], axis=0)[0]
    return found
