"""ROC figures against scikit-learn and against plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn import metrics

from threatloop.core.errors import InputError
from threatloop.numerics.arrays import average_ranks
from threatloop.numerics.roc import Roc, auc, roc_curve, tpr_at_fpr
from threatloop.numerics.undefined import Undefined


@st.composite
def tied_samples(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    n = draw(st.integers(2, 40))
    scores = draw(st.lists(st.integers(-3, 3).map(float), min_size=n, max_size=n))
    member = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda m: 0 < sum(m) < len(m)))
    return scores, member


@settings(max_examples=40, deadline=None)
@given(tied_samples())
def test_curve_and_area_match_scikit_learn(sample: tuple[list[float], list[int]]) -> None:
    scores, member = sample
    curve = roc_curve(scores, member)
    assert isinstance(curve, Roc)
    fpr, tpr, thresholds = metrics.roc_curve(member, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert auc(scores, member) == pytest.approx(metrics.roc_auc_score(member, scores))


@settings(max_examples=40, deadline=None)
@given(tied_samples())
def test_area_is_mann_whitney_and_reverses_with_the_sign(sample: tuple[list[float], list[int]]) -> None:
    scores, member = sample
    inside = [s for s, m in zip(scores, member, strict=True) if m]
    outside = [s for s, m in zip(scores, member, strict=True) if not m]
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    assert auc(scores, member) == pytest.approx(wins / (len(inside) * len(outside)))
    mirrored = auc([-s for s in scores], member)
    assert not isinstance(mirrored, Undefined)
    assert mirrored == pytest.approx(1 - wins / (len(inside) * len(outside)))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_tpr_at_fpr_equals_a_search_over_all_thresholds(alpha: float) -> None:
    rng = np.random.default_rng(3)
    scores = np.round(np.concatenate([rng.normal(1, size=300), rng.normal(size=1000)]), 1)
    member = np.repeat([True, False], [300, 1000])
    best = 0.0
    for threshold in np.unique(scores):
        accepted = scores >= threshold
        if accepted[~member].mean() <= alpha:
            best = max(best, float(accepted[member].mean()))
    assert best > 0
    assert tpr_at_fpr(scores, member, alpha) == pytest.approx(best)


def test_tpr_is_unresolved_below_ten_expected_false_positives() -> None:
    scores, member = np.arange(1999.0), np.repeat([False, True], [999, 1000])
    short = tpr_at_fpr(scores, member, 0.01)
    assert isinstance(short, Undefined)
    assert "unresolved below 1000 non-members" in str(short)
    assert tpr_at_fpr(np.arange(2000.0), np.repeat([False, True], [1000, 1000]), 0.01) == 1.0


def test_one_class_is_undefined_not_a_number() -> None:
    for figure in (roc_curve([1, 2], [1, 1]), auc([1, 2], [0, 0]), tpr_at_fpr([1.0], [1], 0.5)):
        assert isinstance(figure, Undefined)
        assert str(figure).startswith("not computed, because ")


def test_infinite_scores_rank() -> None:
    assert auc([np.inf, np.inf, -np.inf, 0.0], [1, 0, 0, 1]) == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert isinstance(roc_curve([np.inf, -np.inf], [1, 0]), Roc)


@pytest.mark.parametrize(
    ("scores", "member", "message"),
    [
        ([1.0, np.nan], [0, 1], "NaN"),
        ([1.0, 2.0], [0, 2], "booleans"),
        ([1.0, 2.0, 3.0], [0, 1], "one length"),
    ],
)
def test_bad_input_is_one_clear_line(scores: list[float], member: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        auc(scores, member)
    assert "\n" not in str(caught.value)


def test_undefined_never_passes_for_zero_or_false() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(Undefined("of a test"))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_average_ranks_are_those_of_scipy(values: list[int]) -> None:
    array = np.array(values, np.float64)
    np.testing.assert_allclose(average_ranks(array), rankdata(array))
