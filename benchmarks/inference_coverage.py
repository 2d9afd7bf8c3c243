"""Prints what the intervals cover and how often the two-stage procedure is wrong, by simulation.

Run: python benchmarks/inference_coverage.py [--repeats 400] [--families 20] [--seed 0]
About 50 s of processor time on one core. "-" means that the method gave no interval; these draws count as misses.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from scipy.stats import norm

from threatloop.analysis.two_stage import Cell, confirm, plan_confirmation
from threatloop.numerics.arrays import Floats
from threatloop.numerics.intervals import (
    Interval,
    auc_interval,
    bootstrap_t,
    clopper_pearson,
    clustered_binomial,
    paired_t,
    seed_mean,
    wilson,
)
from threatloop.numerics.undefined import Undefined

Draw = Callable[[np.random.Generator, int], Floats]
Found = Interval | Undefined


def _rates(rng: np.random.Generator, k: int, trials: int, a: float, b: float) -> Floats:
    return np.asarray(rng.binomial(trials, rng.beta(a, b, size=k)) / trials)


SAMPLES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, k: rng.normal(size=k), 0.0),
    "t, 3 degrees of freedom": (lambda rng, k: rng.standard_t(3, size=k), 0.0),
    "uniform": (lambda rng, k: rng.random(k), 0.5),
    "gamma, skewness 1": (lambda rng, k: rng.gamma(4, size=k), 4.0),
    "exponential, skewness 2": (lambda rng, k: rng.exponential(size=k), 1.0),
    "lognormal, skewness 6.2": (lambda rng, k: rng.lognormal(size=k), float(np.exp(0.5))),
    "rate .80 of 100": (lambda rng, k: _rates(rng, k, 100, 16, 4), 0.8),
    "rate .95 of 50": (lambda rng, k: _rates(rng, k, 50, 19, 1), 0.95),
    "difference of rates": (lambda rng, k: _rates(rng, k, 100, 16, 4) - _rates(rng, k, 100, 12, 8), 0.2),
}
BOUNDS = {"rate .80 of 100": (0.0, 1.0), "rate .95 of 50": (0.0, 1.0), "difference of rates": (-1.0, 1.0)}


def covered(found: Iterable[Found], truth: float) -> str:
    """Share of intervals that hold the truth, in percent, and the share that was undefined, if any."""
    results = list(found)
    hits = sum(not isinstance(one, Undefined) and truth in one for one in results)
    missing = sum(isinstance(one, Undefined) for one in results)
    return f"{100 * hits / len(results):5.1f}" + (f" ({100 * missing / len(results):.1f} -)" if missing else "")


def print_means(rng: np.random.Generator, repeats: int) -> None:
    print(f"Coverage of 95 % intervals of a mean over k seeds, in percent, {repeats} draws (target 93-97)")
    print(f"{'data':26s} {'k':>3s}  {'paired t':>8s}  {'bootstrap-t':>11s}  {'seed_mean':>9s}")
    for name, (draw, truth) in SAMPLES.items():
        for k in (12, 20, 30):
            data = [draw(rng, k) for _ in range(repeats)]
            columns = (
                covered((paired_t(one) for one in data), truth),
                covered((bootstrap_t(one, rng, replicates=599) for one in data), truth),
                covered((seed_mean(one, rng, bounds=BOUNDS.get(name), replicates=599) for one in data), truth),
            )
            print(f"{name:26s} {k:3d}  {columns[0]:>8s}  {columns[1]:>11s}  {columns[2]:>9s}")


def _scored(rng: np.random.Generator, shift: float, members: int, others: int) -> tuple[Floats, Floats]:
    scores = np.concatenate([rng.normal(shift, size=members), rng.normal(size=others)])
    return scores, np.repeat([1.0, 0.0], [members, others])


def print_rates(rng: np.random.Generator, repeats: int) -> None:
    print("\nCoverage of 95 % intervals of a rate from 100 trials")
    for rate in (0.5, 0.9, 0.98):
        draws = [int(one) for one in rng.binomial(100, rate, size=repeats)]
        ends = (covered((f(one, 100) for one in draws), rate) for f in (wilson, clopper_pearson))
        print("  rate {:4.2f}: Wilson {}, Clopper-Pearson {}".format(rate, *ends))
    for a, b in ((16, 4), (4, 1), (49, 1)):
        trials = np.full(12, 50.0)
        draws_k = [rng.binomial(50, rng.beta(a, b, size=12)) for _ in range(repeats)]
        pooled = covered((clopper_pearson(int(one.sum()), 600) for one in draws_k), a / (a + b))
        clustered = covered((clustered_binomial(one, trials) for one in draws_k), a / (a + b))
        print(f"  12 seeds of 50 trials, rate {a / (a + b):.2f}: pooled {pooled}, seed-clustered {clustered}")
    print("\nCoverage of 95 % intervals of one AUC, 75 members and 75 non-members")
    for shift in (0.0, 0.5, 2.0, 3.5):
        truth = float(norm.cdf(shift / np.sqrt(2)))
        found = (auc_interval(*_scored(rng, shift, 75, 75)) for _ in range(repeats))
        print(f"  AUC {truth:.3f}: {covered(found, truth)}")


# Truth of each of the 24 cells in units of the margin: nulls, both margins, planted effects.
MIXED = (0.0,) * 14 + (1.0,) * 3 + (-1.0,) * 3 + (3.0,) * 2 + (-3.0,) * 2
FAMILIES: dict[str, tuple[float, ...]] = {"24 nulls": (0.0,) * 24, "14 nulls, 6 at ±δ, 4 at ±3δ": MIXED}
NOISES: dict[str, Draw] = {
    "normal": lambda rng, k: rng.normal(size=k),
    "exponential": lambda rng, k: rng.exponential(size=k) - 1.0,
}


def one_family(
    truths: tuple[float, ...], noise: Draw, spread: float, rng: np.random.Generator
) -> tuple[list[str], list[int]]:
    """Verdicts and confirmation seeds of one family under the whole procedure, margin 1."""
    cells = []
    for place, truth in enumerate(truths):
        screening = truth + spread * noise(rng, 12)
        planned = plan_confirmation(screening, 1.0)
        fresh = dict(enumerate((truth + spread * noise(rng, planned)).tolist(), start=12))
        cells.append(Cell(str(place), dict(enumerate(screening.tolist())), 1.0, planned, fresh))
    return [effect.verdict for effect in confirm(cells, rng).values()], [cell.planned for cell in cells]


def _shares(counted: Counter[str]) -> str:
    words = ("amplifies", "weakens", "no effect", "unresolved")
    return "  ".join(f"{word} {100 * counted[word] / counted.total():5.1f}" for word in words)


def print_two_stage(rng: np.random.Generator, families: int) -> None:
    print("\nWhole two-stage procedure, q <= .05: verdicts in percent of cells, by true difference")
    for title, truths in FAMILIES.items():
        for noise_name, noise in NOISES.items():
            for spread in (1.0, 2.0):
                print(f"{title}; {noise_name} noise, deviation {spread:g}δ; {families} families")
                print_setting([one_family(truths, noise, spread, rng) for _ in range(families)], truths)


def print_setting(outcomes: list[tuple[list[str], list[int]]], truths: tuple[float, ...]) -> None:
    """Error rates per family and per verdict given, seeds spent, and verdicts by true difference."""
    by_truth: dict[float, Counter[str]] = {truth: Counter() for truth in truths}
    for verdicts, _ in outcomes:
        for truth, verdict in zip(truths, verdicts, strict=True):
            by_truth[truth][verdict] += 1
    wrong = [sum(map(is_false, verdicts, truths)) for verdicts, _ in outcomes]
    given = sum(verdict != "unresolved" for verdicts, _ in outcomes for verdict in verdicts)
    print(
        f"    {100 * np.mean([one > 0 for one in wrong]):.0f} % of families with any false verdict; "
        f"{sum(wrong)} of {given} verdicts given are false; "
        f"{np.mean([planned for _, planned in outcomes]):.1f} confirmation seeds per cell"
    )
    for truth, counted in by_truth.items():
        print(f"    Δ = {truth:+.0f}δ: {_shares(counted)}")


def is_false(verdict: str, truth: float) -> bool:
    """Whether a verdict contradicts the true difference (in units of the margin)."""
    return (
        (verdict == "amplifies" and truth <= 0)
        or (verdict == "weakens" and truth >= 0)
        or (verdict == "no effect" and abs(truth) >= 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400, help="draws per coverage figure")
    parser.add_argument("--families", type=int, default=20, help="families per two-stage setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, rng = time.perf_counter(), np.random.default_rng(options.seed)
    print_means(rng, options.repeats)
    print_rates(rng, options.repeats)
    print_two_stage(rng, options.families)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
