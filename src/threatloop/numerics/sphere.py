"""Points of a sphere, seen through an unknown affine map: the map, up to a rotation of the sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from threatloop.numerics.undefined import Undefined

Doubles = npt.NDArray[np.float64]

SPARE = 1.15
"""Points for each unknown of the ellipsoid."""
LARGEST = 4000
"""Unknowns that are solved for: the matrix of twice as many numbers squared is still small."""
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


def points_needed(k: int) -> int:
    """How many points of k numbers an ellipsoid takes; those that try it included."""
    return int(np.ceil(SPARE * _unknowns(k) / (1 - TRIED)))


def unfit(n: int, k: int) -> Undefined | None:
    """Why no ellipsoid is fitted to n points of k numbers; None where one is."""
    if _unknowns(k) > LARGEST:
        return Undefined(
            f"the sphere of {k} dimensions has {_unknowns(k)} unknowns, more than the {LARGEST} solved for"
        )
    if n < points_needed(k):
        return Undefined(f"{n} answers are too few for the sphere of {k} dimensions, which takes {points_needed(k)}")
    return None


def ellipsoid(points: Doubles) -> Ellipsoid | Undefined:
    """The ellipsoid with any centre on which points (n, k) lie, by least squares on k(k + 3)/2 unknowns.

    The points are whitened first, since the axes of states differ a hundredfold. Their mean is inside, so the equation
    xᵀSx + tᵀx = 1 about it loses no case.
    """
    n, k = points.shape
    if (why := unfit(n, k)) is not None:
        return why
    mean = points.mean(axis=0)
    spread, turn = np.linalg.eigh((points - mean).T @ (points - mean) / n)
    if spread[0] <= 0:
        return Undefined("the answers do not fill the sphere's space")
    unwhite = turn * np.sqrt(spread)
    white = (points - mean) @ (turn / np.sqrt(spread))
    tried = max(1, int(TRIED * n))
    found = np.asarray(np.linalg.lstsq(_terms(white[tried:]), np.ones(n - tried), rcond=None)[0], np.float64)
    square, slope = _square(found, k), found[-k:]
    values, vectors = np.linalg.eigh(square)
    if values[0] <= 0:
        return Undefined("the answers lie on no ellipsoid: the last layer is not behind a norm, or they are too rough")
    centre = -np.linalg.solve(square, slope) / 2
    scale = 1 / (1 + centre @ square @ centre)
    off = float(np.sqrt(np.mean((scale * (_terms(white[:tried]) @ found - 1)) ** 2)))
    if off > CLOSE:
        return Undefined(f"the answers lie {off:.2g} off the best ellipsoid; more queries or finer answers are needed")
    axes = unwhite @ (vectors / np.sqrt(values * scale)) @ vectors.T
    return Ellipsoid(mean + unwhite @ centre, axes, off)


def _unknowns(k: int) -> int:
    return k * (k + 3) // 2


def _terms(points: Doubles) -> Doubles:
    """Products of every pair of coordinates, and the coordinates: (n, k(k + 3)/2)."""
    rows, columns = np.triu_indices(points.shape[1])
    return np.hstack([points[:, rows] * points[:, columns], points])


def _square(found: Doubles, k: int) -> Doubles:
    """The symmetric matrix of a quadratic form with these coefficients."""
    upper = np.zeros((k, k))
    upper[np.triu_indices(k)] = found[:-k]
    return (upper + upper.T) / 2
