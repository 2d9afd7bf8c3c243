"""How much of the trouble sits in few dependencies: Lorenz curve, Gini, share of the top fifth, communities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from threatloop.core.errors import InputError
from threatloop.core.seeds import Streams
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.ontology import Kind, Relation
from threatloop.threats.severity.communities import Communities, communities
from threatloop.threats.severity.estimate import Estimate, Figure, Missing
from threatloop.threats.severity.network import network

SEED = 0
RESAMPLES = 2000
FEWEST = 5
"""Packages below which there is no interval."""
TOP = 0.2
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Concentration:
    """Of the distinct vulnerabilities of each package that has one.

    Attributes:
        packages: their names, those with most first.
        counts: vulnerabilities of each, in that order; one that affects two packages counts for both.
        without: packages of the graph that have none; they are in no figure.
        unassigned: vulnerabilities that affect no package of the graph; not those of which only the id is known.
        lorenz: points of the curve from (0, 0) to (1, 1): share of the packages, the fewest first, and share of the
            vulnerabilities.
        gini: 0 where all have as many, towards 1 where one has all.
        top_fifth: share of the vulnerabilities that the fifth of the packages with most holds, read off the curve.
        communities: of repositories, packages and vulnerabilities.
    """

    packages: tuple[str, ...]
    counts: tuple[int, ...]
    without: int
    unassigned: int
    lorenz: tuple[tuple[float, float], ...]
    gini: Figure
    top_fifth: Figure
    communities: Communities | Missing


def concentration(graph: ThreatGraph, seed: int = SEED) -> Concentration:
    """The concentration of a graph's vulnerabilities over its packages.

    Raises:
        InputError: no vulnerability affects a package, or networkx is not installed.
    """
    streams = Streams(seed, ("concentration",))
    held = {node.id: 0 for node in graph.nodes(Kind.PACKAGE)}
    unassigned = 0
    for node in graph.nodes(Kind.VULNERABILITY):
        if node.attributes.get("stub"):
            continue
        affected = {edge.target for edge in graph.out(node.id, Relation.AFFECTS)} & held.keys()
        unassigned += not affected
        for package in affected:
            held[package] += 1
    ordered = sorted((one for one in held if held[one]), key=lambda one: (-held[one], one))
    if not ordered:
        raise InputError("no vulnerability affects a package of the graph, so there is no concentration to measure")
    counts = np.array([held[one] for one in ordered], dtype=np.float64)
    return Concentration(
        tuple(graph.node(one).name for one in ordered),
        tuple(int(count) for count in counts),
        len(held) - len(ordered),
        unassigned,
        tuple((float(x), float(y)) for x, y in lorenz(counts)),
        _figure(gini, counts, streams.child("gini")),
        _figure(top_share, counts, streams.child("top-share")),
        communities(network(graph), streams.child("communities")),
    )


def lorenz(counts: Values) -> Values:
    """The Lorenz curve of counts ≥ 0 that are not all 0: shape (n + 1, 2), from (0, 0) to (1, 1), convex."""
    running = np.concatenate([[0.0], np.cumsum(np.sort(counts))])
    return np.column_stack([np.linspace(0, 1, len(counts) + 1), running / running[-1]])


def gini(counts: Values) -> float:
    """One minus twice the area below the Lorenz curve, in [0, 1 − 1/n]."""
    curve = lorenz(counts)
    return float(1 - 2 * np.trapezoid(curve[:, 1], curve[:, 0]))


def top_share(counts: Values, top: float = TOP) -> float:
    """Share of the sum that the largest ``top`` of the counts hold; between two counts the curve is straight."""
    curve = lorenz(counts)
    return float(1 - np.interp(1 - top, curve[:, 0], curve[:, 1]))


def _figure(statistic: Callable[[Values], float], counts: Values, streams: Streams) -> Figure:
    """With a bootstrap interval over packages."""
    if len(counts) < FEWEST:
        return Missing(f"{len(counts)} packages with a vulnerability are too few for an interval (fewest: {FEWEST})")
    value = statistic(counts)
    if np.ptp(counts) == 0:
        return Missing(f"all {len(counts)} packages have the same count, so there is nothing to resample: {value:.3f}")
    found = stats.bootstrap(
        (counts,), statistic, n_resamples=RESAMPLES, vectorized=False, method="BCa", rng=streams.numpy("bootstrap")
    ).confidence_interval
    method = "bias-corrected bootstrap over packages"
    return Estimate(value, float(found.low), float(found.high), len(counts), "packages", method)
