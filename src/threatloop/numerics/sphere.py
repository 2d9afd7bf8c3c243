"""Points of a sphere, seen through an unknown affine map: the map, up to a rotation of the sphere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from threatloop.numerics.undefined import Undefined

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
Number = TypeVar("Number", bound=np.floating[Any])

SPARE = 1.15
"""Points for each unknown of the ellipsoid, where all equations are written out."""
SPARE_IN_STEPS = 1.6
"""The same where they are not; with fewer, the steps come close far more slowly."""
DIRECT = 4000
"""Unknowns up to which all equations are written out; more are solved for step by step."""
STEPS = 3000
"""Of the latter at most."""
NEAR = 1e-10
"""Where they end: a smaller change of the equations would explain what is left."""
ROWS = 1 << 14
"""Points that are worked on at a time."""
LARGEST = 1 << 28
"""Coordinates that are held in memory: 2 GiB, beside what they were made of."""
CLOSE = 0.02
"""How far points that the fit did not see may lie off it, in units of the radius squared."""
TRIED = 0.05
"""Share of the points that the fit does not see."""


@dataclass(frozen=True)
class Ellipsoid:
    """The image of the unit sphere: ``centre`` (k,) + ``axes`` (k, k) times unit vectors, which any rotation may turn.

    Attributes:
        off: root mean square of |unit vector|² − 1 over points that the fit did not see.
    """

    centre: Doubles
    axes: Doubles
    off: float


class Forms(Protocol):
    """Points (n, k), and the two products that steps take; the points may lie on another device."""

    def values(self, square: Doubles, slope: Doubles) -> Doubles:
        """xᵀSx + tᵀx of every point, (n,)."""

    def weighted(self, by: Doubles) -> tuple[Doubles, Doubles]:
        """The sums over points of by · xxᵀ, (k, k), and of by · x, (k,)."""


@dataclass(frozen=True)
class InMemory:
    """Points on this processor."""

    points: Doubles

    def values(self, square: Doubles, slope: Doubles) -> Doubles:
        """See `Forms`."""
        found = [((part @ square) * part).sum(axis=1) + part @ slope for part in _parts(self.points)]
        return np.concatenate(found)

    def weighted(self, by: Doubles) -> tuple[Doubles, Doubles]:
        """See `Forms`."""
        k = self.points.shape[1]
        square, slope = np.zeros((k, k)), np.zeros(k)
        for part, one in zip(_parts(self.points), _parts(by), strict=True):
            square += part.T @ (one[:, None] * part)
            slope += one @ part
        return square, slope


def points_needed(k: int) -> int:
    """How many points of k numbers an ellipsoid takes; those that try it included."""
    spare = SPARE if _unknowns(k) <= DIRECT else SPARE_IN_STEPS
    return int(np.ceil(spare * _unknowns(k) / (1 - TRIED)))


def unfit(n: int, k: int) -> Undefined | None:
    """Why no ellipsoid is fitted to n points of k numbers; None where one is."""
    needed = points_needed(k)
    if needed * k > LARGEST:
        return Undefined(f"the sphere of {k} dimensions takes {needed} answers, more than fit into memory")
    if n < needed:
        return Undefined(f"{n} answers are too few for the sphere of {k} dimensions, which takes {needed}")
    return None


def ellipsoid(points: Floats, held: Callable[[Doubles], Forms] = InMemory) -> Ellipsoid | Undefined:
    """The ellipsoid with any centre on which points (n, k) lie, by least squares on k(k + 3)/2 unknowns.

    The points are whitened first, since the axes of states differ a hundredfold. Their mean is inside, so the equation
    xᵀSx + tᵀx = 1 about it loses no case.

    Args:
        points: on or near an ellipsoid.
        held: where they are multiplied, if there are too many unknowns to write all equations out.
    """
    n, k = points.shape
    if (why := unfit(n, k)) is not None:
        return why
    mean = points.mean(axis=0, dtype=np.float64)
    around = sum(((part - mean).T @ (part - mean) for part in _parts(points)), np.zeros((k, k)))
    spread, turn = np.linalg.eigh(around / n)
    if spread[0] <= 0:
        return Undefined("the answers do not fill the sphere's space")
    unwhite = turn * np.sqrt(spread)
    white = np.empty((n, k))
    for part, to in zip(_parts(points), _parts(white), strict=True):
        to[:] = (part - mean) @ (turn / np.sqrt(spread))
    tried = max(1, int(TRIED * n))
    found = _solved(white[tried:], held)
    square, slope = _square(found, k), found[-k:]
    values, vectors = np.linalg.eigh(square)
    if values[0] <= 0:
        return Undefined("the answers lie on no ellipsoid: the last layer is not behind a norm, or they are too rough")
    centre = -np.linalg.solve(square, slope) / 2
    scale = 1 / (1 + centre @ square @ centre)
    off = float(np.sqrt(np.mean((scale * (InMemory(white[:tried]).values(square, slope) - 1)) ** 2)))
    if off > CLOSE:
        return Undefined(f"the answers lie {off:.2g} off the best ellipsoid; more queries or finer answers are needed")
    axes = unwhite @ (vectors / np.sqrt(values * scale)) @ vectors.T
    return Ellipsoid(mean + unwhite @ centre, axes, off)


def _unknowns(k: int) -> int:
    return k * (k + 3) // 2


def _parts(points: npt.NDArray[Number]) -> Iterator[npt.NDArray[Number]]:
    return (points[start : start + ROWS] for start in range(0, len(points), ROWS))


def _solved(points: Doubles, held: Callable[[Doubles], Forms]) -> Doubles:
    """The coefficients of xᵀSx + tᵀx = 1, the upper triangle of S before t, by least squares.

    An equation has terms of the size of |x|², so it counts by 1 / |x|²: a few far points would else be heard alone, and
    two to three times as many steps be needed.
    """
    n, k = points.shape
    upper = np.triu_indices(k)
    weights = 1 / np.maximum((points**2).sum(axis=1), np.finfo(np.float32).tiny)
    if _unknowns(k) <= DIRECT:
        terms = np.hstack([points[:, upper[0]] * points[:, upper[1]], points])
        return np.asarray(np.linalg.lstsq(weights[:, None] * terms, weights, rcond=None)[0], np.float64)
    from scipy.sparse.linalg import LinearOperator, lsqr

    forms = held(points)

    def values(found: Doubles) -> Doubles:
        return np.asarray(weights * forms.values(_square(found, k), found[-k:]))

    def weighted(by: Doubles) -> Doubles:
        square, slope = forms.weighted(weights * by)
        return np.concatenate([square[upper], slope])

    equations = LinearOperator((n, _unknowns(k)), matvec=values, rmatvec=weighted, dtype=np.float64)
    # Whitened points of a sphere lie near one already.
    first = np.concatenate([np.eye(k)[upper] / k, np.zeros(k)])
    found = lsqr(equations, weights, atol=NEAR, btol=NEAR, iter_lim=STEPS, x0=first)[0]
    return np.asarray(found, np.float64)


def _square(found: Doubles, k: int) -> Doubles:
    """The symmetric matrix of a quadratic form with these coefficients."""
    upper = np.zeros((k, k))
    upper[np.triu_indices(k)] = found[:-k]
    return (upper + upper.T) / 2
