"""Seeds spent in two stages: screening chooses cells and sample sizes, fresh seeds are tested, once.

Looking again and again at growing seeds triples the error rate. Here the screening seeds never enter a test, so what
they choose cannot bias it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, ndtr, stdtrit

from threatloop.analysis.effects import ALPHA, MIN_SEEDS, Contrast, Effect, judge_family
from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats, finite_vector, fraction
from threatloop.numerics.equivalence import check_margin
from threatloop.numerics.means import Bounds, is_constant
from threatloop.numerics.undefined import Undefined

SCREENING_SEEDS = 12
MAX_CONFIRMATION = 30
TARGET_POWER = 0.8
LEAST_POWER = 0.5
"""Power at `MAX_CONFIRMATION` seeds below which a cell is not worth confirming."""
PLANNING_LEVEL = 0.01
"""Stands for the level that Benjamini-Hochberg will leave to one cell of a family, unknown while planning."""
_SPREAD_QUANTILE = 0.2


def careful_spread(values: Floats) -> float:
    """Upper 80 % confidence limit of the standard deviation, so that a lucky screening doesn't plan too few seeds."""
    k = values.size
    return float(values.std(ddof=1) * np.sqrt((k - 1) / (2 * gammaincinv((k - 1) / 2, _SPREAD_QUANTILE))))


def power_curves(mean: float, spread: float, delta: float, n: Floats, level: float) -> tuple[Floats, Floats]:
    """Approximate power of the two-sided test and of the equivalence test at each number of seeds.

    Args:
        mean: true mean difference. spread: standard deviation over seeds, above 0.
        delta: equivalence margin.
        n: numbers of seeds, shape (m,), at least 2.
        level: level of either test.

    Returns:
        Two arrays of shape (m,) in [0, 1].
    """
    error = spread / np.sqrt(n)
    effect = ndtr(abs(mean) / error + stdtrit(n - 1, level / 2))
    critical = -stdtrit(n - 1, level)
    upper = ndtr((delta - mean) / error - critical)
    lower = ndtr(critical - (delta + mean) / error)
    return effect, np.clip(upper - lower, 0.0, 1.0)


def plan_confirmation(screening_differences: ArrayLike, delta: float, level: float = PLANNING_LEVEL) -> int:
    """Number of fresh seeds with which this cell can probably be resolved; 0 if it is not worth confirming.

    The smallest n from 12 to 30 with 80 % power to show either the screened effect or, taking the screened mean as
    true, its equivalence to none; 30 where that takes more but 50 % is in reach; else 0.

    Args:
        screening_differences: on minus off, one per screening seed, at least 12.
        delta: equivalence margin, above 0.
        level: level of one test after correction for the family, in (0, 1).

    Raises:
        InputError: fewer than 12 screening seeds, non-finite differences, delta or level out of range.
    """
    values, margin = finite_vector(screening_differences, "screening_differences"), check_margin(delta)
    fraction(level, "level")
    if values.size < SCREENING_SEEDS:
        raise InputError(f"screening: {values.size} seeds; at least {SCREENING_SEEDS} are needed to plan")
    mean = float(values.mean())
    if is_constant(values):
        # A constant effect needs no power; a constant zero cannot be shown to be none with 30 seeds.
        return MIN_SEEDS if abs(mean) >= margin else 0
    n = np.arange(MIN_SEEDS, MAX_CONFIRMATION + 1, dtype=np.float64)
    best = np.maximum(*power_curves(mean, careful_spread(values), margin, n, level))
    enough = np.flatnonzero(best >= TARGET_POWER)
    if enough.size:
        return int(n[enough[0]])
    return MAX_CONFIRMATION if best[-1] >= LEAST_POWER else 0


@dataclass(frozen=True)
class Cell:
    """One contrast with its two disjoint sets of seeds.

    Args:
        name: unique within the family.
        screening: seed to difference (on minus off).
        delta: equivalence margin, fixed before the first run.
        planned: what `plan_confirmation` returned; 0 = not confirmed.
        fresh: seed to difference for the confirmation seeds; may be short of `planned` where tasks failed.
        bounds: smallest and largest possible difference; None if unbounded.

    Raises:
        InputError: a fresh seed was screened, more fresh seeds than planned, or planned outside {0, 12..30}.
    """

    name: str
    screening: Mapping[int, float]
    delta: float
    planned: int
    fresh: Mapping[int, float] = field(default_factory=dict)
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        if self.planned and not MIN_SEEDS <= self.planned <= MAX_CONFIRMATION:
            raise InputError(
                f"{self.name}: planned {self.planned}; allowed: 0 or {MIN_SEEDS} to {MAX_CONFIRMATION} seeds"
            )
        if reused := sorted(set(self.screening) & set(self.fresh)):
            raise InputError(f"{self.name}: seeds {reused} were screened already; confirm with fresh ones only")
        if len(self.fresh) > self.planned:
            raise InputError(
                f"{self.name}: {len(self.fresh)} fresh seeds, {self.planned} planned; adding seeds after a look "
                "inflates the error rate"
            )


def confirm(cells: Sequence[Cell], rng: np.random.Generator, alpha: float = ALPHA) -> dict[str, Effect]:
    """One test of every chosen cell on its fresh seeds; the chosen cells are the family.

    Cells that were not chosen show the mean and interval of their screening seeds, carry no p-values, and are
    *unresolved* (*too few seeds* if fewer than twelve were screened).

    Args:
        cells: every cell of the family declared before the run, names unique.
        rng: for bootstrap and Monte Carlo draws.
        alpha: false-discovery rate in (0, 1).

    Returns:
        An `Effect` for every cell, by name, in the given order.

    Raises:
        InputError: see `judge_family`.
    """
    # Checked here too: a name may repeat between the chosen cells and the rest.
    if len({cell.name for cell in cells}) < len(cells):
        raise InputError("cells: names repeat; each member of a family needs its own")
    tested, shown = rng.spawn(2)
    chosen = judge_family([_contrast(cell, cell.fresh) for cell in cells if cell.planned], tested, alpha)
    screened = judge_family([_contrast(cell, cell.screening) for cell in cells if not cell.planned], shown, alpha)
    merged = {**chosen, **{name: _unconfirmed(effect) for name, effect in screened.items()}}
    return {cell.name: merged[cell.name] for cell in cells}


def _contrast(cell: Cell, differences: Mapping[int, float]) -> Contrast:
    return Contrast(cell.name, tuple(differences[seed] for seed in sorted(differences)), cell.delta, cell.bounds)


def _unconfirmed(effect: Effect) -> Effect:
    none = Undefined("the cell was screened only; screening seeds are not tested")
    bare = replace(effect, p=none, q=none, p_equivalence=none, q_equivalence=none)
    if effect.verdict == "too few seeds":
        return bare
    why = f"{MAX_CONFIRMATION} fresh seeds would probably not resolve it"
    return replace(bare, verdict="unresolved", why=why)
