"""Distances between a client's queries that are not normally distributed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.algorithms.monitoring import Floats, Labels, QueryMonitor, Usual, Values
from threatloop.core.defence import DefenceInfo, Stage

GROWTH = 10
"""Normality is tested whenever there are a tenth more distances, and at least so many more, than at the last test."""
SMALLEST = 3
"""Distances without which nothing can be said."""
OUTLIER = 3.0
"""Standard deviations beyond which a distance is left out of the test, as in the paper."""


class Prada(QueryMonitor):
    """Flags a client whose queries' distances to their class are not those of benign clients.

    Every query has a distance to the nearest of a growing set of earlier queries of the class that the model gave
    it; it joins that set where the distance is above the set's mean less a standard deviation. The paper asks
    whether those distances, outliers apart, are normally distributed (1 − W of Shapiro and Wilk, ``test:
    normality``). The default asks whether they are distributed as those of benign clients are (√n times the gap of
    Kolmogorov and Smirnov): on digits, 400 queries, that finds all of 20 clients each of Jacobian augmentation,
    data-free theft, HopSkipJump, Square and label-only membership at 1 % of benign clients, on which it was chosen;
    the published test found HopSkipJump and, of theft, single clients (two victims). Either threshold is the benign
    clients' quantile at ``rate``, not a constant per data set. The first test comes after ``least`` queries, 100 in
    the paper, since windows are short where there are few own records.

    Natural records of the kind (Knockoff Nets) are not seen, as the paper says of itself; nor is an attacker who hides
    each query among nine natural ones.

    Costs: distances within a window, the threshold once per length of a client (seconds); no answer changes.

    Juuti, Szyller, Marchal, Asokan 2019, "PRADA: Protecting against DNN Model Stealing Attacks", arXiv 1805.02628,
    section 5.

    Attributes:
        test: ``benign`` or ``normality``.
        least: queries before the first test, ≥ 3; at most half a window.
        rate, window, clients: as in `QueryMonitor`.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Distribution of query distances (PRADA)",
        stage=Stage.MONITOR,
        modalities=frozenset({"image", "tabular"}),
        paper="Juuti, Szyller, Marchal, Asokan 2019, PRADA: Protecting against DNN Model Stealing Attacks, arXiv "
        "1805.02628, section 5",
        atlas=("AML.M0015",),
    )

    test: Literal["benign", "normality"] = "benign"
    least: int = Field(default=50, ge=3)

    def values(self, apart: Floats, labels: Labels) -> Values:
        """The distance to the nearest of the growing set of the query's class; NaN for the first of a class."""
        sets: dict[int, _Grown] = {}
        found = np.full(len(apart), np.nan)
        for i, label in enumerate(labels.tolist()):
            if label in sets:
                found[i] = sets[label].nearest(apart[i])
                sets[label].offer(i, float(found[i]))
            else:
                sets[label] = _Grown(np.full(len(apart), i, np.int64))
        return found

    def evidence(self, values: Values, usual: Usual) -> Values:
        """How far the distances so far are from what they should be, tested whenever there are a tenth more queries."""
        found, i = np.full(len(values), -np.inf), min(self.least, usual.values.shape[1] // 2)
        while i <= len(values):
            near = np.sort(values[:i][~np.isnan(values[:i])])
            if len(near) >= SMALLEST:
                unlike = np.sqrt(len(near)) * _gap(near, usual.upto(i))
                found[i - 1] = 1 - _normality(near) if self.test == "normality" else unlike
            i += max(GROWTH, i // GROWTH)
        return found


@dataclass
class _Grown:
    """The growing set of one class.

    Attributes:
        rows: positions of its members, the first ``size`` of them.
    """

    rows: Labels
    size: int = 1
    distances: list[float] = field(default_factory=list)
    sums: tuple[float, float] = (0.0, 0.0)
    limit: float = -np.inf

    def nearest(self, apart: Floats) -> float:
        return float(apart[self.rows[: self.size]].min())

    def offer(self, row: int, distance: float) -> None:
        """Take the query in where it is far enough from the others; the limit never falls."""
        if distance <= self.limit:
            return
        self.rows[self.size] = row
        self.size += 1
        self.distances.append(distance)
        n, total, squares = len(self.distances), self.sums[0] + distance, self.sums[1] + distance**2
        self.sums = total, squares
        self.limit = max(self.limit, total / n - max(0.0, squares / n - (total / n) ** 2) ** 0.5)


def _normality(values: Values) -> float:
    """W of Shapiro and Wilk without outliers; 0 where all values are the same."""
    from scipy.stats import shapiro

    inside = values[np.abs(values - values.mean()) <= OUTLIER * values.std()]
    return float(shapiro(inside).statistic) if len(inside) >= 3 and np.ptp(inside) > 0 else 0.0


def _gap(some: Values, others: Values) -> float:
    """The largest difference between two distribution functions (Kolmogorov and Smirnov); both ascending."""
    at = np.concatenate([some, others])
    shares = [np.searchsorted(one, at, side="right") / len(one) for one in (some, others)]
    return float(np.abs(shares[0] - shares[1]).max())
