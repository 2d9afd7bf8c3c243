"""The two-stage procedure: planning, freshness, and its error rates in a small simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from threatloop.analysis.effects import judge
from threatloop.analysis.two_stage import Cell, confirm, plan_confirmation, power_curves
from threatloop.core.errors import InputError
from threatloop.numerics.undefined import Undefined


def normal(mean: float, spread: float, k: int) -> list[float]:
    return list((mean + spread * stats.norm.ppf((np.arange(k) + 0.5) / k)).tolist())


def by_seed(values: list[float], start: int = 0) -> dict[int, float]:
    return dict(enumerate(values, start=start))


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [(0.2, 0.05, 12), (0.0, 0.02, 12), (0.0, 0.5, 0), (0.05, 0.3, 0), (0.3, 0.0, 12), (0.0, 0.0, 0)],
)
def test_clear_cells_need_the_least_and_hopeless_ones_get_none(mean: float, spread: float, expected: int) -> None:
    assert plan_confirmation(normal(mean, spread, 12), 0.05) == expected


def test_plan_grows_with_the_spread_and_stays_in_range() -> None:
    plans = [plan_confirmation(normal(0.1, spread, 12), 0.05) for spread in np.linspace(0.01, 0.3, 30)]
    worth = plans[: plans.index(0)]
    assert worth == sorted(worth)
    assert worth[0] == 12
    assert worth[-1] == 30
    assert len(set(worth)) > 4
    assert set(plans[len(worth) :]) == {0}


def test_power_curves_match_simulation() -> None:
    rng, n = np.random.default_rng(0), 20
    effect, equivalence = power_curves(0.03, 0.1, 0.1, np.array([float(n)]), 0.05)
    data = rng.normal(0.03, 0.1, size=(4000, n))
    assert effect[0] == pytest.approx((stats.ttest_1samp(data, 0, axis=1).pvalue < 0.05).mean(), abs=0.04)
    above = stats.ttest_1samp(data, -0.1, axis=1, alternative="greater").pvalue
    below = stats.ttest_1samp(data, 0.1, axis=1, alternative="less").pvalue
    assert equivalence[0] == pytest.approx((np.maximum(above, below) < 0.05).mean(), abs=0.04)


def test_only_fresh_seeds_are_tested() -> None:
    strong, fresh = normal(0.4, 0.05, 12), normal(0.0, 0.02, 14)
    cell = Cell("cell", by_seed(strong), 0.05, 14, by_seed(fresh, 12))
    effect = confirm([cell], np.random.default_rng(0))["cell"]
    assert effect.verdict == "no effect"
    assert effect.n == 14
    assert effect.mean == pytest.approx(0.0)
    alone = judge(fresh, 0.05, np.random.default_rng(0))
    assert (effect.p, effect.p_equivalence) == (alone.p, alone.p_equivalence)


def test_cells_not_chosen_are_unresolved_and_do_not_enlarge_the_family() -> None:
    chosen = Cell("chosen", by_seed(normal(0.2, 0.05, 12)), 0.05, 12, by_seed(normal(0.2, 0.05, 12), 12))
    others = [Cell(f"left {i}", by_seed(normal(0.2, 0.01, 12)), 0.05, 0) for i in range(5)]
    effects = confirm([*others, chosen], np.random.default_rng(0))
    assert list(effects) == [*(f"left {i}" for i in range(5)), "chosen"]
    assert effects["chosen"].q == effects["chosen"].p == pytest.approx(2 / 4096)
    left = effects["left 0"]
    assert left.verdict == "unresolved"
    assert left.mean == pytest.approx(0.2)
    assert all(isinstance(one, Undefined) for one in (left.p, left.q, left.p_equivalence, left.q_equivalence))


def test_lost_seeds_lead_to_too_few() -> None:
    cell = Cell("cell", by_seed(normal(0.2, 0.05, 12)), 0.05, 12, by_seed(normal(0.2, 0.05, 9), 12))
    short = Cell("short", by_seed(normal(0.2, 0.05, 6)), 0.05, 0)
    effects = confirm([cell, short], np.random.default_rng(0))
    assert effects["cell"].verdict == effects["short"].verdict == "too few seeds"


def test_reused_or_additional_seeds_are_refused() -> None:
    screening = by_seed(normal(0.2, 0.05, 12))
    with pytest.raises(InputError, match=r"seeds \[11\] were screened already"):
        Cell("cell", screening, 0.05, 12, {11: 0.2})
    with pytest.raises(InputError, match="13 fresh seeds, 12 planned"):
        Cell("cell", screening, 0.05, 12, by_seed([0.1] * 13, 12))
    with pytest.raises(InputError, match="allowed: 0 or 12 to 30"):
        Cell("cell", screening, 0.05, 31)
    with pytest.raises(InputError, match="names repeat"):
        confirm([Cell("a", screening, 0.05, 0), Cell("a", screening, 0.05, 12)], np.random.default_rng(0))
    with pytest.raises(InputError, match="at least 12"):
        plan_confirmation(normal(0.1, 0.1, 11), 0.05)


def test_false_verdicts_of_the_whole_procedure_are_rare_and_planted_effects_found() -> None:
    rng, false, missed, null_shown = np.random.default_rng(3), 0, 0, 0
    truths = [0.0] * 6 + [1.0, -1.0] + [3.0, -3.0]
    for _ in range(25):
        cells = []
        for place, truth in enumerate(truths):
            screening = rng.normal(truth, 1.0, size=12).tolist()
            planned = plan_confirmation(screening, 1.0)
            fresh = rng.normal(truth, 1.0, size=planned).tolist()
            cells.append(Cell(str(place), by_seed(screening), 1.0, planned, by_seed(fresh, 12)))
        verdicts = [effect.verdict for effect in confirm(cells, rng).values()]
        false += sum(v in ("amplifies", "weakens") for v in verdicts[:6]) + verdicts[6:].count("no effect")
        missed += (verdicts[8] != "amplifies") + (verdicts[9] != "weakens")
        null_shown += verdicts[:6].count("no effect")
    assert false <= 0.05 * 250
    assert missed <= 2
    assert null_shown > 0.5 * 150
