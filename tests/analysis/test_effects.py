"""Verdicts: each of the five words is reached by data that deserves it, and by nothing less."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from threatloop.analysis.effects import Contrast, Effect, judge, judge_family
from threatloop.core.errors import InputError
from threatloop.numerics.equivalence import bh_q, tost
from threatloop.numerics.permutation import sign_flip_p
from threatloop.numerics.undefined import Undefined


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(mean: float, spread: float, k: int) -> tuple[float, ...]:
    """Normal quantiles: a sample without luck, symmetric around its mean."""
    return tuple((mean + spread * stats.norm.ppf((np.arange(k) + 0.5) / k)).tolist())


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (normal(0.1, 0.03, 12), "amplifies"),
        (normal(-0.1, 0.03, 12), "weakens"),
        (normal(0.0, 0.02, 20), "no effect"),
        (normal(0.015, 0.01, 20), "no effect"),
        (normal(0.04, 0.15, 12), "unresolved"),
        (normal(0.05, 0.03, 20), "amplifies"),
        (normal(0.1, 0.03, 11), "too few seeds"),
        ((), "too few seeds"),
        ((0.0,) * 12, "unresolved"),
        ((0.0,) * 90, "no effect"),
        ((1.0,) * 12, "amplifies"),
    ],
)
def test_each_verdict(values: tuple[float, ...], verdict: str) -> None:
    effect = judge(values, 0.05, rng(), bounds=(-1, 1))
    assert effect.verdict == verdict
    assert effect.n == len(values)
    assert effect.why


def test_figures_of_a_symmetric_sample_are_the_plain_tests() -> None:
    values = normal(0.03, 0.05, 15)
    effect = judge(values, 0.05, rng())
    assert effect.mean == pytest.approx(0.03)
    assert effect.p == effect.q == sign_flip_p(values)
    assert effect.p_equivalence == effect.q_equivalence == tost(values, 0.05)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert not isinstance(effect.interval, Undefined)
    assert (effect.interval.low, effect.interval.high) == pytest.approx((theirs.low, theirs.high))


def test_sign_of_the_differences_mirrors_the_verdict() -> None:
    values = np.random.default_rng(5).exponential(0.1, size=25) + 0.02
    up, down = judge(values.tolist(), 0.05, rng()), judge((-values).tolist(), 0.05, rng())
    assert (up.verdict, down.verdict) == ("amplifies", "weakens")


def test_skewed_samples_need_the_bootstrap_to_agree() -> None:
    # One seed of 12 leaves zero by a hair: t is confident, but the rare value may be far larger than the one seen.
    values = (0.0,) * 11 + (0.01,)
    assert tost(values, 0.05) == pytest.approx(0.0, abs=1e-9)
    effect = judge(values, 0.05, rng(), bounds=(-1, 1))
    assert effect.verdict == "unresolved"
    assert not isinstance(effect.p_equivalence, Undefined)
    assert effect.p_equivalence > 0.3


def test_equal_differences_without_bounds_are_unresolved_with_a_reason() -> None:
    effect = judge((0.3,) * 12, 0.05, rng())
    assert effect.verdict == "unresolved"
    assert "spread over seeds is unknown" in effect.why
    assert isinstance(effect.interval, Undefined)


def family() -> dict[str, Effect]:
    contrasts = [Contrast(f"null {i}", normal(0.04, 0.11, 12), 0.05) for i in range(9)]
    contrasts.append(Contrast("short", normal(0.2, 0.01, 5), 0.05))
    contrasts.append(Contrast("planted", normal(0.2, 0.03, 12), 0.05))
    return judge_family(contrasts, rng())


def test_q_values_are_taken_over_the_family_and_leave_out_short_members() -> None:
    effects = family()
    assert effects["planted"].verdict == "amplifies"
    assert effects["short"].verdict == "too few seeds"
    assert isinstance(effects["short"].q, Undefined)
    with_p = [effect for effect in effects.values() if effect.verdict != "too few seeds"]
    assert len(with_p) == 10
    assert [effect.q for effect in with_p] == list(bh_q([effect.p for effect in with_p]))
    assert [e.q_equivalence for e in with_p] == list(bh_q([e.p_equivalence for e in with_p]))
    assert effects["planted"].q == pytest.approx(10 * 2 / 4096)


def test_a_family_corrects_what_one_test_would_let_through() -> None:
    borderline = normal(0.06, 0.085, 12)
    assert judge(borderline, 0.05, rng()).verdict == "amplifies"
    noise = [Contrast(f"null {i}", normal(0.0, 0.2, 12), 0.05) for i in range(9)]
    effects = judge_family([Contrast("borderline", borderline, 0.05), *noise], rng())
    assert effects["borderline"].verdict == "unresolved"


def test_bad_families_are_refused() -> None:
    one = Contrast("a", normal(0, 1, 12), 0.05)
    with pytest.raises(InputError, match="names repeat"):
        judge_family([one, one], rng())
    with pytest.raises(InputError, match="differences of b: entry 0 is nan"):
        judge_family([Contrast("b", (float("nan"),) * 12, 0.05)], rng())
    with pytest.raises(InputError, match="above 0"):
        judge(normal(0, 1, 12), 0.0, rng())
    with pytest.raises(InputError, match="inside bounds"):
        judge(normal(0, 3, 12), 0.05, rng(), bounds=(-1, 1))
