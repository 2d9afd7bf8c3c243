"""Verdicts on differences between two arms, within families that are declared before the run.

A difference is "metric with A on" minus "metric with A off" in the same seed, oriented so that a larger metric is
worse for the defender. Then a positive mean *amplifies* the attack and a negative one *weakens* it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import Floats, finite_vector, fraction
from threatloop.numerics.equivalence import bh_q, check_margin, tost
from threatloop.numerics.intervals import Interval, seed_mean
from threatloop.numerics.means import Bounds, is_constant, is_skewed
from threatloop.numerics.permutation import sign_flip_p
from threatloop.numerics.studentised import studentise
from threatloop.numerics.undefined import Undefined

MIN_SEEDS = 12
"""Independent seeds below which there is no verdict."""
AUC_MARGIN = 0.02
RATE_MARGIN = 0.05
ALPHA = 0.05

Verdict = Literal["amplifies", "weakens", "no effect", "unresolved", "too few seeds"]


@dataclass(frozen=True)
class Contrast:
    """One member of a family: what is compared, and how small a difference counts as none.

    Args:
        name: unique within the family.
        differences: on minus off, one per independent seed.
        delta: equivalence margin, above 0, in units of the metric, fixed before the first run.
        bounds: smallest and largest possible difference, (-1, 1) for rates and AUC; None if unbounded.
    """

    name: str
    differences: tuple[float, ...]
    delta: float
    bounds: Bounds | None = None


@dataclass(frozen=True)
class Effect:
    """What one contrast shows.

    Args:
        name: of the contrast.
        n: independent seeds.
        mean: mean difference, in units of the metric.
        interval: of the mean, at 1 - alpha, not adjusted for the size of the family.
        p: two-sided p of "no difference".
        q: Benjamini-Hochberg q-value of p among the family's effects.
        p_equivalence: p of "the mean lies outside ±delta".
        q_equivalence: q-value of p_equivalence among the family's equivalences.
        delta: equivalence margin.
        verdict: one of five words.
        why: the figure that decided, as a clause.
    """

    name: str
    n: int
    mean: float | Undefined
    interval: Interval | Undefined
    p: float | Undefined
    q: float | Undefined
    p_equivalence: float | Undefined
    q_equivalence: float | Undefined
    delta: float
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Tested:
    """A difference with its p-values, before its family is judged.

    Args:
        seeds: independent seeds behind it; of two runs, the fewer.
        interval: at 1 - alpha.
    """

    name: str
    seeds: int
    delta: float
    mean: float | Undefined
    interval: Interval | Undefined
    p: float | Undefined
    p_equivalence: float | Undefined


def p_values(
    values: Floats, delta: float, bounds: Bounds | None, rng: np.random.Generator
) -> tuple[float | Undefined, float | Undefined]:
    """p of "no difference" (sign flips) and of "outside ±delta" (two one-sided t tests).

    Both rest on symmetry or normality. Where the sample is skewed, each is replaced by the larger of itself and its
    bootstrap-t counterpart, as `seed_mean` widens the interval.
    """
    effect, equivalence = sign_flip_p(values, rng), tost(values, delta, bounds)
    if is_constant(values) or not is_skewed(values):
        return effect, equivalence
    resampled = studentise(values, rng)
    if not isinstance(effect, Undefined):
        effect = max(effect, resampled.p_two_sided(0.0))
    if not isinstance(equivalence, Undefined):
        equivalence = max(equivalence, resampled.p_above(-delta), resampled.p_below(delta))
    return effect, equivalence


def examine(contrast: Contrast, alpha: float, rng: np.random.Generator) -> Tested:
    """The paired tests of one contrast; below twelve seeds only mean and interval."""
    values = finite_vector(contrast.differences, f"differences of {contrast.name}")
    check_margin(contrast.delta)
    mean = float(values.mean()) if values.size else Undefined("there are no seeds")
    interval = seed_mean(values, rng, 1 - alpha, contrast.bounds)
    if values.size < MIN_SEEDS:
        few = Undefined(f"{values.size} seeds are fewer than {MIN_SEEDS}")
        return Tested(contrast.name, values.size, contrast.delta, mean, interval, few, few)
    tested = p_values(values, contrast.delta, contrast.bounds, rng)
    return Tested(contrast.name, values.size, contrast.delta, mean, interval, *tested)


def _below(value: float | Undefined, alpha: float) -> bool:
    return not isinstance(value, Undefined) and value <= alpha


def _verdict(tested: Tested, q: float | Undefined, q_same: float | Undefined, alpha: float) -> tuple[Verdict, str]:
    seeds, interval = tested.seeds, tested.interval
    if seeds < MIN_SEEDS or isinstance(tested.mean, Undefined):
        return "too few seeds", f"{seeds} of at least {MIN_SEEDS} seeds"
    # First, because a difference shown to be below a margin fixed in advance is none, however significant.
    if _below(q_same, alpha):
        return "no effect", f"shown to lie within ±{tested.delta:g} (q {q_same:.2g})"
    if isinstance(interval, Undefined):
        return "unresolved", interval.reason
    if _below(q, alpha) and 0.0 not in interval:
        return ("amplifies" if tested.mean > 0 else "weakens"), f"q {q:.2g}"
    return "unresolved", "neither an effect nor its absence is shown"


def judge_family(contrasts: Sequence[Contrast], rng: np.random.Generator, alpha: float = ALPHA) -> dict[str, Effect]:
    """Verdicts for a family declared before the run.

    q-values are computed among the family's effects and, separately, among its equivalences. Contrasts with fewer
    than twelve seeds get no verdict and leave both families.

    - *no effect*: q_equivalence <= alpha, shown to lie within ±delta;
    - *amplifies* / *weakens*: q <= alpha and the interval excludes 0;
    - *unresolved*: neither; *too few seeds*: below twelve.

    Args:
        contrasts: the family, names unique.
        rng: for bootstrap and Monte Carlo draws; each contrast gets a stream of its own.
        alpha: false-discovery rate in (0, 1); intervals are at 1 - alpha.

    Returns:
        An `Effect` for every contrast, by name, in the given order.

    Raises:
        InputError: names repeated, non-finite differences, margin not above 0, differences outside bounds.
    """
    fraction(alpha, "alpha")
    names = [contrast.name for contrast in contrasts]
    if len(set(names)) < len(names):
        raise InputError("contrasts: names repeat; each member of a family needs its own")
    streams = rng.spawn(len(contrasts))
    return judge_tested([examine(one, alpha, stream) for one, stream in zip(contrasts, streams, strict=True)], alpha)


def judge_tested(tested: Sequence[Tested], alpha: float = ALPHA) -> dict[str, Effect]:
    """Verdicts for a family whose members have been tested each in its own way; see `judge_family`."""
    effects = bh_q([one.p for one in tested])
    equivalences = bh_q([one.p_equivalence for one in tested])
    return {
        one.name: _effect(one, q, q_same, alpha) for one, q, q_same in zip(tested, effects, equivalences, strict=True)
    }


def _effect(tested: Tested, q: float | Undefined, q_same: float | Undefined, alpha: float) -> Effect:
    verdict, why = _verdict(tested, q, q_same, alpha)
    return Effect(
        name=tested.name,
        n=tested.seeds,
        mean=tested.mean,
        interval=tested.interval,
        p=tested.p,
        q=q,
        p_equivalence=tested.p_equivalence,
        q_equivalence=q_same,
        delta=tested.delta,
        verdict=verdict,
        why=why,
    )


def judge(
    differences: Sequence[float],
    delta: float,
    rng: np.random.Generator,
    alpha: float = ALPHA,
    bounds: Bounds | None = None,
) -> Effect:
    """Verdict on a single contrast that was declared as a family of one; see `judge_family`."""
    return judge_family([Contrast("effect", tuple(differences), delta, bounds)], rng, alpha)["effect"]
