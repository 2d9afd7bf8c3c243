"""LiRA against a slow plain oracle, and its effect on planted signals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from threatloop.algorithms.shadow_scoring import PRIOR_SHADOWS, Variance, lira_offline, lira_online
from threatloop.core.errors import InputError
from threatloop.numerics.roc import auc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
VARIANCES: tuple[Variance, ...] = ("shrunken", "fixed", "per_record")


def draw(models: int, records: int, seed: int, effect: float = 1.0) -> tuple[Floats, Floats, Bools, Bools]:
    """Victim's signals, shadows' signals, masks and membership: signals rise by ``effect`` for members."""
    rng = np.random.default_rng(seed)
    masks = np.argsort(rng.random((models, records)), axis=0) < models // 2
    member = rng.random(records) < 0.5
    level, spread = rng.normal(0, 3, records), rng.uniform(0.5, 2, records)
    shadows = level + spread * rng.normal(size=(models, records)) + effect * masks
    return level + spread * rng.normal(size=records) + effect * member, shadows, masks, member


def oracle_moments(signals: Floats, chosen: Bools, variance: Variance) -> tuple[list[float], list[float]]:
    groups = [[signals[k, j] for k in range(len(signals)) if chosen[k, j]] for j in range(signals.shape[1])]
    means = [sum(group) / len(group) for group in groups]
    squares = [sum((value - mean) ** 2 for value in group) for group, mean in zip(groups, means, strict=True)]
    free = [len(group) - 1 for group in groups]
    average = sum(squares) / sum(free)
    if variance == "fixed":
        return means, [average] * len(groups)
    if variance == "per_record":
        return means, [s / f for s, f in zip(squares, free, strict=True)]
    return means, [(s + PRIOR_SHADOWS * average) / (f + PRIOR_SHADOWS) for s, f in zip(squares, free, strict=True)]


@pytest.mark.parametrize("variance", VARIANCES)
@settings(max_examples=15, deadline=None)
@given(models=st.integers(4, 12), records=st.integers(1, 20), seed=st.integers(0, 10_000))
def test_both_agree_with_plain_loops(variance: Variance, models: int, records: int, seed: int) -> None:
    victim, shadows, masks, _ = draw(models, records, seed)
    inside, outside = oracle_moments(shadows, masks, variance), oracle_moments(shadows, ~masks, variance)
    for j, signal in enumerate(victim):
        online = norm.logpdf(signal, inside[0][j], inside[1][j] ** 0.5)
        online -= norm.logpdf(signal, outside[0][j], outside[1][j] ** 0.5)
        offline = norm.cdf(signal, outside[0][j], outside[1][j] ** 0.5)
        found = lira_online(victim, shadows, masks, variance)[j]
        assert found == pytest.approx(online, rel=1e-6, abs=1e-6)
        assert norm.cdf(lira_offline(victim, shadows, masks, variance)[j]) == pytest.approx(offline, abs=1e-6)


@pytest.mark.parametrize("score", [lira_online, lira_offline])
def test_planted_members_are_found_and_no_effect_is_not(score: object) -> None:
    assert callable(score)
    for effect, low, high in ((2.0, 0.7, 1.0), (0.0, 0.46, 0.54)):
        victim, shadows, masks, member = draw(16, 4000, 0, effect)
        area = auc(score(victim, shadows, masks), member)
        assert isinstance(area, float)
        assert low < area < high


def test_per_record_difficulty_is_removed() -> None:
    victim, shadows, masks, member = draw(32, 4000, 1, 2.0)
    raw, lira = auc(victim, member), auc(lira_online(victim, shadows, masks), member)
    assert isinstance(raw, float)
    assert isinstance(lira, float)
    assert lira > raw + 0.05


def test_shrunken_variance_holds_up_with_few_and_with_many_shadow_models() -> None:
    for models in (6, 128):
        victim, shadows, masks, member = draw(models, 4000, 2, 1.5)
        shrunken, fixed, own = (auc(lira_online(victim, shadows, masks, v), member) for v in VARIANCES)
        assert isinstance(shrunken, float)
        assert isinstance(fixed, float)
        assert isinstance(own, float)
        assert shrunken > max(fixed, own) - 0.01


def test_identical_shadow_answers_give_finite_scores() -> None:
    _, _, masks, _ = draw(8, 5, 3)
    flat = np.zeros((8, 5))
    assert np.isfinite(lira_online(np.zeros(5), flat, masks)).all()
    assert np.isfinite(lira_offline(np.ones(5), flat, masks)).all()


def test_bad_input_is_named() -> None:
    victim, shadows, masks, _ = draw(8, 5, 4)
    with pytest.raises(InputError, match="need"):
        lira_online(victim[:3], shadows, masks)
    with pytest.raises(InputError, match="record 0 has 0 'in' shadow models"):
        lira_online(victim, shadows, np.zeros_like(masks))
    assert lira_offline(victim, shadows, np.zeros_like(masks)).shape == (5,)
    with pytest.raises(InputError, match="NaN"):
        lira_offline(np.where(np.arange(5) == 2, np.nan, victim), shadows, masks)
