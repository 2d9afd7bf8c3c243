"""Prints how often the interaction matrix is wrong, by simulation of the whole procedure: rows of a made-up run are
screened, cells planned, the worst arm chosen, fresh rows drawn, and every cell judged once by the code of the product.

Run: python benchmarks/interaction_selftest.py [--families 40] [--seed 0]
About two minutes of processor time on one core. Differences are in units of the margin δ; noise is that of a seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from matrix_world import Noise, Truth, World, normal, one_stage, two_stages

WORDS = ("amplifies", "weakens", "no effect", "unresolved")


def skewed(rng: np.random.Generator, n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return rng.exponential(size=n) - 1.0


@dataclass(frozen=True)
class Setting:
    """A family of cells with one spread over seeds."""

    title: str
    truths: tuple[Truth, ...]


def _two_arms(difference: float, spread: float) -> Truth:
    """The adaptive attacker is the worse one; the unchanged one does 1.5 margins less harm."""
    return Truth({"attack": difference - 1.5, "adaptive": difference}, spread)


def settings(spread: float) -> tuple[Setting, ...]:
    nulls = tuple(Truth({"attack": 0, "adaptive": 0, "adaptive:2": 0}, spread) for _ in range(24))
    alone = tuple(Truth({"attack": d}, spread) for d in (0.0,) * 14 + (-1.0,) * 4 + (-3.0,) * 3 + (3.0,) * 3)
    mixed = (0.0,) * 14 + (1.0,) * 3 + (-1.0,) * 3 + (3.0,) * 2 + (-3.0,) * 2
    return (
        Setting("24 nulls, three equal arms", nulls),
        Setting("14 nulls, 6 at ±δ, 4 at ±3δ; two arms", tuple(_two_arms(d, spread) for d in mixed)),
        Setting("no adaptive form: 14 nulls, 4 at −δ, 6 at ±3δ", alone),
    )


def is_false(verdict: str, truth: Truth) -> bool:
    """Whether a verdict contradicts the larger of the arms' true differences."""
    real = truth.difference
    wrong_sign = (verdict == "amplifies" and real <= 0) or (verdict == "weakens" and real >= 0)
    return wrong_sign or (verdict == "no effect" and abs(real) >= 1)


def print_setting(setting: Setting, noise: Noise, procedure: str, families: int, seed: int) -> None:
    counted: dict[float, Counter[str]] = {truth.difference: Counter() for truth in setting.truths}
    wrong, given, spent = [0] * families, 0, 0
    for family in range(families):
        rng = np.random.default_rng([seed, family])
        world = World({(f"d{i:02d}", "b"): truth for i, truth in enumerate(setting.truths)}, rng, noise)
        cells = two_stages(world)[0].cells if procedure == "two stages" else one_stage(world).cells
        for cell, truth in zip(cells, setting.truths, strict=True):
            counted[truth.difference][cell.verdict] += 1
            wrong[family] += is_false(cell.verdict, truth)
            given += cell.resolved
            spent += cell.tested
    share = 100 * sum(wrong) / max(given, 1)
    print(
        f"    {100 * np.mean(np.array(wrong) > 0):.0f} % of families with any false verdict; {sum(wrong)} of {given} "
        f"verdicts given are false ({share:.1f} %); {spent / families / len(setting.truths):.1f} tested seeds per cell"
    )
    for real, found in counted.items():
        shown = "  ".join(f"{word} {100 * found[word] / found.total():5.1f}" for word in WORDS)
        print(f"    Δ = {real:+.0f}δ: {shown}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, default=40, help="families per setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    print("Verdicts in percent of cells, by true difference; q <= .05")
    for procedure in ("two stages", "one stage"):
        for spread, name, noise in ((1.0, "normal", normal), (1.0, "exponential", skewed), (2.0, "normal", normal)):
            for setting in settings(spread):
                print(f"{procedure}; {setting.title}; {name} noise, deviation {spread:g}δ; {options.families} families")
                print_setting(setting, noise, procedure, options.families, options.seed)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
