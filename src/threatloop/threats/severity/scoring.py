"""Scores of all vulnerabilities: by a fitted ranker where enough are labelled, else by their place in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.severity.association import correlation
from threatloop.threats.severity.estimate import Figure, Missing
from threatloop.threats.severity.folds import largest_share
from threatloop.threats.severity.ranker import HeldOut, Ranker, fit, held_out
from threatloop.threats.severity.rows import UNLABELLED, Features, groups, levels

FOLDS = 5
FEWEST_LABELLED, FEWEST_GROUPS = 50, 5
"""Labelled vulnerabilities and groups of dependencies below which no ranker is fitted."""
FALLBACK = ("repositories reached", "personalised PageRank", "betweenness", "core number")
"""Columns of the structure whose percentiles are averaged without labels."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Factor:
    """What adds ``share`` to a score (or takes from it, where negative)."""

    kind: str
    name: str
    share: float


@dataclass(frozen=True)
class Scores:
    """Scores of all rows.

    Attributes:
        values: shape (rows,); larger is worse.
        factors: of one row, the largest in size first.
    """

    basis: str
    because: str
    labelled: int
    agreement: Figure
    values: Values
    factors: Callable[[int], list[Factor]]


def scored(graph: ThreatGraph, rows: Features, streams: Streams) -> Scores:
    """Scores with a reason for the way they were made."""
    known = levels(graph, rows.ids)
    of_group = groups(graph, rows.ids)
    labelled = np.flatnonzero(known != UNLABELLED)
    lack = _lack(known[labelled], of_group[labelled], len(rows))
    if lack:
        return _structural(rows, lack, len(labelled))
    out = held_out(rows, known, of_group, labelled, streams.child("held-out"), folds=FOLDS)
    agreement = correlation(out.scores, known[labelled], of_group[labelled], streams.child("agreement"))
    rest = np.flatnonzero(known == UNLABELLED)
    ranker = fit(rows, known, of_group, labelled, streams.child("all")) if len(rest) else None
    because = (
        f"{len(labelled)} vulnerabilities have a severity to learn from; each of them is scored by a ranker that saw "
        "nothing of its dependency, nor of any linked to it by a common vulnerability (the largest such group holds "
        f"{largest_share(of_group[labelled]):.0%} of them)"
    )
    values, factors = _fitted(rows, labelled, out, rest, ranker)
    return Scores("fitted", because, len(labelled), agreement, values, factors)


def _lack(known: NDArray[np.int64], of_group: NDArray[np.int64], of: int) -> str:
    """Why no ranker can be fitted; empty where one can."""
    n, parts = len(known), len(np.unique(of_group))
    if n < FEWEST_LABELLED:
        return f"{n} of {of} vulnerabilities have a severity to learn from; at least {FEWEST_LABELLED} are needed"
    if len(np.unique(known)) < 2:
        return "all vulnerabilities with a severity have the same one"
    if parts < FEWEST_GROUPS:
        return (
            f"the vulnerabilities with a severity fall into {parts} groups that share no dependency; at least "
            f"{FEWEST_GROUPS} are needed"
        )
    return ""


def _fitted(
    rows: Features,
    labelled: NDArray[np.int64],
    out: HeldOut,
    rest: NDArray[np.int64],
    ranker: Ranker | None,
) -> tuple[Values, Callable[[int], list[Factor]]]:
    """Scores of the labelled from their folds' rankers, of the others from the one that learned from all labelled."""
    values = np.zeros(len(rows))
    values[labelled] = out.scores
    of_row: dict[int, Ranker] = {
        int(row): out.rankers[int(fold)] for row, fold in zip(labelled, out.fold_of, strict=True)
    }
    if ranker is not None:
        values[rest] = ranker.scores(rows, rest)
        of_row |= dict.fromkeys(map(int, rest), ranker)

    def factors(row: int) -> list[Factor]:
        return [Factor(block.value, name, share) for block, name, share in of_row[row].contributions(rows, row)]

    return values, factors


def _structural(rows: Features, lack: str, labelled: int) -> Scores:
    """The mean of the percentiles of `FALLBACK`, which nothing was fitted to."""
    columns = [rows.structure.names.index(name) for name in FALLBACK]
    parts = (rankdata(rows.structure.values[:, columns], axis=0) - 0.5) / len(rows) / len(FALLBACK)

    def factors(row: int) -> list[Factor]:
        found = [Factor("structure", name, float(share)) for name, share in zip(FALLBACK, parts[row], strict=True)]
        return sorted(found, key=lambda one: -one.share)

    return Scores("structural", lack, labelled, Missing(lack), parts.sum(axis=1), factors)
