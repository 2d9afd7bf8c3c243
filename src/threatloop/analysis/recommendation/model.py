"""Main and pairwise effects of defences, shrunk together; what unmeasured sets would give.

Bayesian ridge in its dual form. A set's value is an intercept, one effect per defence and one per pair; the prior
variance of a main effect is 1, that of a pair κ h²ᵢ h²ⱼ, with noise λ. h ∈ [.3, 1] is the size of a defence's main
effects beside the largest: heredity, since pairs of defences that do nothing rarely interact. A defence that alone
leaves a response as it was in every seed, such as rounded answers a backdoor, is inert: it has no effect on it in any
set. λ, κ and the scale of a column are chosen by leave-one-out error, which has a closed form (Rasmussen & Williams
2006, section 5.4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from threatloop.numerics.arrays import Floats

Scale = Literal["plain", "logit"]
KAPPAS: Final = (0.0, 0.1, 0.4, 1.0, 4.0, 16.0)
MAIN_ONLY: Final = (0.0,)
NOISES: Final = tuple(float(x) for x in np.logspace(-2.5, 1.5, 9))
_INTERCEPT: Final = 25.0
_EDGE: Final = 0.01
"""Where 0 lies on the logit scale, and 1 from the other side: no rate is infinitely far."""
_FEW_SETS: Final = 5
"""Below so many sets the leave-one-out error is no guide; the spread of the values stands in for it."""
_FAINTEST: Final = 0.3
_BETTER: Final = 0.99
"""Share of the error that pairwise effects must undercut to be used."""


def to_scale(values: Floats, scale: Scale) -> Floats:
    """Values on the scale on which effects add up."""
    if scale == "plain":
        return values
    inside = _EDGE + (1 - 2 * _EDGE) * np.clip(values, 0.0, 1.0)
    return np.log(inside / (1 - inside))


def from_scale(values: Floats, scale: Scale) -> Floats:
    """The inverse of `to_scale`."""
    if scale == "plain":
        return values
    found: Floats = 1 / (1 + np.exp(-values))
    return np.clip((found - _EDGE) / (1 - 2 * _EDGE), 0.0, 1.0)


@dataclass(frozen=True)
class Overlap:
    """What two families of sets share, (m, n): the numbers of defences that do something and, weighted by heredity, of
    pairs."""

    main: Floats
    pair: Floats

    @classmethod
    def of(cls, a: Floats, b: Floats, heredity: Floats, inert: npt.NDArray[np.bool_] | None = None) -> Overlap:
        """From incidence matrices (m, defences) and (n, defences)."""
        a = a if inert is None else np.where(inert, 0.0, a)
        squares, fourths = (a * heredity**2) @ b.T, (a * heredity**4) @ b.T
        return cls(a @ b.T, (squares**2 - fourths) / 2)

    def kernel(self, kappa: float) -> Floats:
        return _INTERCEPT + self.main + kappa * self.pair


@dataclass(frozen=True)
class Column:
    """One fitted response: an attack's risk, accuracy or log cost.

    Attributes:
        scale: on which effects add up. kappa, noise: as chosen.
        rows: (n,), the measured sets that it was fitted on, of all measured ones.
        centre, spread: of the values on that scale.
        inverse: (n, n), of the kernel with noise.
        error: root mean squared leave-one-out error on that scale, in units of ``spread``.
        usual: mean predictive variance of the sets left out.
    """

    scale: Scale
    kappa: float
    noise: float
    rows: npt.NDArray[np.int64]
    centre: float
    spread: float
    inverse: Floats
    error: float
    usual: float

    def raw(self, values: Floats) -> Floats:
        """Values of any sets on the fitted scale, standardised."""
        found: Floats = (to_scale(values, self.scale) - self.centre) / self.spread
        return found

    def standardised(self, values: Floats) -> Floats:
        """(..., all measured sets) to (..., n) of the sets that it was fitted on."""
        return self.raw(values[..., self.rows])

    def back(self, standardised: Floats) -> Floats:
        """The inverse of `raw`."""
        return from_scale(standardised * self.spread + self.centre, self.scale)

    def weights(self, overlap: Overlap) -> Floats:
        """(m, n): predictions of m sets as weights on the measured ones; ``overlap`` is with all measured sets."""
        found: Floats = overlap.kernel(self.kappa)[:, self.rows] @ self.inverse
        return found

    def errors(self, overlap: Overlap, own: Overlap) -> Floats:
        """(m,): standard error of what would be measured of m sets, in units of ``spread``.

        The leave-one-out error, scaled by how much less is known of this set than of those left out.

        Args:
            own: of the m sets with themselves.
        """
        across = overlap.kernel(self.kappa)[:, self.rows]
        variance = np.diag(own.kernel(self.kappa)) + self.noise - ((across @ self.inverse) * across).sum(1)
        found: Floats = self.error * np.sqrt(np.maximum(variance / self.usual, 1.0))
        return found

    def left_out(self, standardised: Floats) -> Floats:
        """(n,): the prediction of every set from the others."""
        return standardised - (self.inverse @ standardised) / np.diag(self.inverse)


def heredity(incidence: Floats, values: Sequence[Floats]) -> Floats:
    """(defences,): the largest main effect of each defence on any column, beside the largest of all, in [.3, 1]."""
    largest = np.zeros(incidence.shape[1])
    for column in values:
        rows = np.flatnonzero(np.isfinite(column))
        x, y = incidence[rows], column[rows]
        if len(rows) < 3 or (spread := float(y.std())) < 1e-9:
            continue
        x = x - x.mean(0)
        effects = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - y.mean())) / spread
        largest = np.maximum(largest, np.abs(effects))
    top = largest.max(initial=0.0)
    return np.clip(largest / top, _FAINTEST, 1.0) if top > 0 else np.ones_like(largest)


class Spectra:
    """Eigenvalues and axes of the kernels of one family of measured sets; columns that share their sets share them."""

    def __init__(self, overlap: Overlap) -> None:
        self.overlap = overlap
        self._known: dict[tuple[float, bytes], tuple[Floats, Floats]] = {}

    def of(self, kappa: float, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Of the kernel of these sets: (n,) not negative, (n, n)."""
        key = kappa, rows.tobytes()
        if key not in self._known:
            sizes, axes = np.linalg.eigh(self.overlap.kernel(kappa)[np.ix_(rows, rows)])
            self._known[key] = np.maximum(sizes, 0.0), axes
        return self._known[key]


def fit(
    values: Floats,
    spectra: Spectra,
    rows: npt.NDArray[np.int64],
    kappas: Sequence[float] = KAPPAS,
    scales: Sequence[Scale] = ("plain", "logit"),
) -> Column:
    """Fit one column.

    Args:
        values: (all measured sets,), NaN where not measured.
        rows: the sets to fit on; those without a value are left out. At least one must have one.
        kappas: of pairs, ascending; `MAIN_ONLY` leaves them out.
        scales: to choose from.
    """
    used = rows[np.isfinite(values[rows])]
    best: tuple[float, Scale, float, float] | None = None
    for kappa in kappas:
        for scale in scales:
            errors = _errors(values[used], scale, *spectra.of(kappa, used))
            error, noise = float(errors.min()), NOISES[int(errors.argmin())]
            if best is None or error < best[0] * (_BETTER if kappa > best[2] else 1.0):
                best = error, scale, kappa, noise
    assert best is not None
    _, scale, kappa, noise = best
    scaled, centre, spread = _standardised(values[used], scale)
    sizes, axes = spectra.of(kappa, used)
    inverse: Floats = (axes / (sizes + noise)) @ axes.T
    diagonal = np.diag(inverse)
    missed = float(np.sqrt(np.mean(((inverse @ scaled) / diagonal) ** 2)))
    missed = max(missed, 1.0) if len(used) < _FEW_SETS else missed
    return Column(scale, kappa, noise, used, centre, spread, inverse, missed, float(np.mean(1 / diagonal)))


def _errors(values: Floats, scale: Scale, sizes: Floats, axes: Floats) -> Floats:
    """Mean squared leave-one-out error in the values' own units, at every noise."""
    scaled, centre, spread = _standardised(values, scale)
    shrink = 1 / (sizes[:, None] + np.array(NOISES))
    missed = (axes @ (shrink * (axes.T @ scaled)[:, None])) / (axes**2 @ shrink)
    guessed = from_scale((scaled[:, None] - missed) * spread + centre, scale)
    found: Floats = ((guessed - values[:, None]) ** 2).mean(0)
    return found


def _standardised(values: Floats, scale: Scale) -> tuple[Floats, float, float]:
    scaled = to_scale(values, scale)
    centre, spread = float(scaled.mean()), float(scaled.std())
    spread = spread if spread > 1e-9 else 1.0
    return (scaled - centre) / spread, centre, spread
