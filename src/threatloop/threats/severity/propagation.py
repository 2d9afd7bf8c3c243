"""How fast patches spread: days from the fixed release to its use; who has not moved yet is censored."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Relation
from threatloop.threats.severity.estimate import Estimate, Figure, Missing

SEED = 0
RESAMPLES = 1000
FEWEST = 5
"""Histories, and repositories, below which there is no interval."""
METHOD = "bootstrap over repositories of the Kaplan-Meier median"


@dataclass(frozen=True)
class History:
    """One repository and one fixed release.

    Attributes:
        repository: histories of one repository are not independent and are resampled together.
        fixed: day on which a release without the vulnerability came out.
        patched: day on which the repository used it; nothing where it did not until ``observed``.
        observed: last day on which the repository was looked at; needed where it was not patched.
    """

    repository: str
    fixed: date | None
    patched: date | None = None
    observed: date | None = None


@dataclass(frozen=True)
class Curve:
    """A Kaplan-Meier curve: the share of repositories still unpatched after so many days, with pointwise 95 % bands."""

    days: tuple[float, ...]
    unpatched: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Propagation:
    """What is known of the delay.

    Attributes:
        histories: those in the figures.
        patched: of them, those that moved; the others are right-censored at the last day they were seen.
        excluded: histories left out, by reason.
        median: days until half have moved; an end that was not reached is infinite.
        curve: nothing where nobody moved.
    """

    histories: int
    patched: int
    excluded: dict[str, int]
    median: Figure
    curve: Curve | None


def propagation(histories: Iterable[History], seed: int = SEED) -> Propagation:
    """The delay between a fixed release and its use (Kaplan and Meier 1958).

    Censoring must not depend on the delay: a repository that is looked at less because it is abandoned biases it.
    """
    excluded: Counter[str] = Counter()
    days, moved, names = list[float](), list[bool](), list[str]()
    for one in histories:
        reason = _unusable(one)
        if reason:
            excluded[reason] += 1
            continue
        end = one.patched if one.patched is not None else one.observed
        assert end is not None
        assert one.fixed is not None
        days.append(float((end - one.fixed).days))
        moved.append(one.patched is not None)
        names.append(one.repository)
    lack = _lack(len(days), sum(moved), len(set(names)), excluded)
    if lack:
        return Propagation(len(days), sum(moved), dict(excluded), Missing(lack), None)
    found = np.array(days), np.array(moved)
    figure = _median_figure(*found, np.unique(names, return_inverse=True)[1], Streams(seed, ("propagation",)))
    return Propagation(len(days), sum(moved), dict(excluded), figure, _curve(*found))


def histories_of(graph: ThreatGraph) -> tuple[History, ...]:
    """Histories that the graph has dates for: ``fixed_released``, ``patched`` and ``observed`` of the affects edges."""
    made = []
    for edge in graph.edges(Relation.AFFECTS):
        if graph.node(edge.target).kind is not Kind.REPOSITORY:
            continue
        fixed, patched, observed = (_day(edge.attributes.get(n)) for n in ("fixed_released", "patched", "observed"))
        made.append(History(edge.target, fixed, patched, observed))
    return tuple(made)


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _unusable(one: History) -> str:
    """Why a history says nothing about the delay; empty where it does."""
    if one.fixed is None:
        return "no date of a fixed release"
    if one.patched is None and one.observed is None:
        return "neither patched nor with a last day of observation"
    if one.patched is not None and one.patched < one.fixed:
        return "patched before the fixed release is dated"
    if one.patched is None and one.observed is not None and one.observed < one.fixed:
        return "last observed before the fixed release"
    return ""


def _lack(histories: int, moved: int, repositories: int, excluded: Counter[str]) -> str:
    if not histories:
        left = ", ".join(f"{n} with {reason}" for reason, n in sorted(excluded.items()))
        return f"no history has dates ({left or 'there are no histories'})"
    if histories < FEWEST or repositories < FEWEST:
        return f"{histories} histories of {repositories} repositories are too few (fewest: {FEWEST} of each)"
    return "" if moved else f"none of the {histories} repositories has moved yet"


def _survival(days: NDArray[np.float64], moved: NDArray[np.bool_]) -> Any:
    """The survival function, right-censored where nobody moved."""
    sample = stats.CensoredData(uncensored=days[moved], right=days[~moved])
    return stats.ecdf(sample).sf


def _curve(days: NDArray[np.float64], moved: NDArray[np.bool_]) -> Curve:
    found = _survival(days, moved)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the band is undefined where nobody, or everybody, has moved
        band = found.confidence_interval(method="log-log")
    parts = (found.quantiles, found.probabilities, band.low.probabilities, band.high.probabilities)
    return Curve(*(tuple(part.tolist()) for part in parts))


def median(days: NDArray[np.float64], moved: NDArray[np.bool_]) -> float:
    """First day on which at most half are unpatched; infinite where it was not reached."""
    found = _survival(days, moved)
    below = np.flatnonzero(found.probabilities <= 0.5 + 1e-12)
    return float(found.quantiles[below[0]]) if len(below) else float("inf")


def _median_figure(
    days: NDArray[np.float64], moved: NDArray[np.bool_], of_repository: NDArray[np.int64], streams: Streams
) -> Figure:
    value = median(days, moved)
    if not np.isfinite(value):
        return Missing(f"fewer than half have moved ({moved.sum()} of {len(moved)}, the others seen for too short)")
    members = np.split(np.argsort(of_repository, kind="stable"), np.cumsum(np.bincount(of_repository))[:-1])
    rng = streams.numpy("bootstrap")
    drawn = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        rows = np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])
        drawn[k] = median(days[rows], moved[rows])
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return Estimate(value, float(low), float(high), len(members), "repositories", METHOD)
