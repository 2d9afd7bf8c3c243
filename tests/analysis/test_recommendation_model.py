"""The model of main and pairwise effects, against slow obvious ones and against planted effects."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from defended import world
from planted import Planted, design, drawn
from threatloop.analysis.recommendation.model import (
    MAIN_ONLY,
    Overlap,
    Spectra,
    fit,
    from_scale,
    heredity,
    to_scale,
)
from threatloop.analysis.recommendation.predict import Predictor
from threatloop.analysis.recommendation.responses import Responses, responses
from threatloop.analysis.recommendation.sets import Universe, universe

NAMES = [f"d{i}" for i in range(7)]


def _measured(planted: Planted, sets: dict[str, tuple[str, ...]], **about: object) -> tuple[Universe, Responses]:
    record, rows = planted.run(sets, **about)  # type: ignore[arg-type]
    found = universe(record, {})
    return found, responses(record, rows, "digits", found)


def test_the_kernel_is_that_of_explicit_main_and_pair_features() -> None:
    rng = np.random.default_rng(0)
    x, h = (rng.random((9, 5)) < 0.5).astype(float), rng.uniform(0.3, 1, 5)
    pairs = [(i, j) for i, j in combinations(range(5), 2)]
    features = np.array([[row[i] * row[j] * h[i] * h[j] for i, j in pairs] for row in x])
    overlap = Overlap.of(x, x, h)
    np.testing.assert_allclose(overlap.main, x @ x.T)
    np.testing.assert_allclose(overlap.pair, features @ features.T, atol=1e-12)


@pytest.mark.parametrize("scale", ["plain", "logit"])
def test_the_closed_leave_one_out_is_a_refit_without_that_set(scale: str) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.random((12, 4)) < 0.5).astype(float), rng.uniform(0.1, 0.9, 12)
    overlap = Overlap.of(x, x, np.ones(4))
    column = fit(y, Spectra(overlap), np.arange(12), scales=(scale,))  # type: ignore[arg-type]
    z = column.standardised(y)
    kernel = overlap.kernel(column.kappa)
    for i in range(12):
        rest = np.delete(np.arange(12), i)
        solved = np.linalg.solve(kernel[np.ix_(rest, rest)] + column.noise * np.eye(11), z[rest])
        assert column.left_out(z)[i] == pytest.approx(float(kernel[i, rest] @ solved))


def test_scales_invert() -> None:
    values = np.linspace(0, 1, 11)
    np.testing.assert_allclose(from_scale(to_scale(values, "logit"), "logit"), values, atol=1e-12)
    assert from_scale(np.array([-99.0, 99.0]), "logit").tolist() == [0.0, 1.0]


def test_heredity_follows_the_main_effects() -> None:
    x = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    found = heredity(x, [0.9 - 0.5 * x[:, 0] - 0.25 * x[:, 1]])
    assert found[0] == 1.0
    assert 0.4 < found[1] < 0.6
    assert found[2] == pytest.approx(0.3)
    assert heredity(x, [np.ones(8)]).tolist() == [1.0, 1.0, 1.0]


def test_unmeasured_combinations_are_predicted_from_single_defences_and_pairs() -> None:
    planted = drawn(NAMES, 3)
    found, measured = _measured(planted, design(NAMES, (1, 2, 3), 22))
    unseen = [frozenset(c) for c in combinations(range(7), 3) if frozenset(c) not in measured.sets]
    names = [place.attack for place in measured.places]
    truth = np.array([[planted.risk(a, frozenset(NAMES[i] for i in one)) for a in names] for one in unseen])
    use = np.array([planted.accuracy(frozenset(NAMES[i] for i in one)) for one in unseen])
    with_pairs = Predictor(found, measured).predict(unseen)
    without = Predictor(found, measured, kappas=MAIN_ONLY).predict(unseen)
    error, rival = (float(np.abs(one.risk - truth).mean()) for one in (with_pairs, without))
    assert error < 0.04
    assert rival > 1.5 * error
    assert float(np.abs(with_pairs.accuracy - use).mean()) < 0.02
    np.testing.assert_allclose(np.exp(with_pairs.log_cost), 2.5, rtol=0.15)


def test_a_single_planted_pair_is_recovered() -> None:
    main = {(one, "infer"): -0.7 for one in NAMES}
    planted = Planted(main, {(frozenset(("d0", "d1")), "infer"): 2.5})
    found, measured = _measured(planted, design(NAMES, (1, 2)))
    column = [place.attack for place in measured.places].index("infer")
    clash, peace = (
        Predictor(found, measured).predict([frozenset(members)]).risk[0, column] for members in ((0, 1, 2), (1, 2, 3))
    )
    assert clash == pytest.approx(planted.risk("infer", frozenset(("d0", "d1", "d2"))), abs=0.1)
    assert peace == pytest.approx(planted.risk("infer", frozenset(("d1", "d2", "d3"))), abs=0.1)
    assert clash - peace > 0.25


def test_intervals_hold_what_was_never_fitted() -> None:
    """Three worlds of forty unseen triples and four attacks each."""
    inside = []
    for draw in range(3):
        planted = drawn(NAMES, 10 + draw)
        found, measured = _measured(planted, design(NAMES, (1, 2, 3)), draw=draw)
        size = np.array([len(one) for one in measured.sets])
        triples = np.flatnonzero(size == 3)
        rest = np.setdiff1d(np.arange(len(size)), triples[::2])
        predictor = Predictor(found, measured, rest)
        drawn_ones = predictor.draws([measured.sets[i] for i in triples[::2]], np.random.default_rng(draw), 200)
        low, high = np.quantile(drawn_ones.risk, [0.025, 0.975], axis=0)
        true = measured.means().risk[triples[::2]]
        inside.append(((true >= low) & (true <= high)).mean())
    assert 0.88 <= float(np.mean(inside)) <= 0.995


def test_the_best_of_many_noisy_figures_is_drawn_back() -> None:
    """Nothing works: what one lucky set was measured at is not what is to be expected of it."""
    found, measured = _measured(Planted({}), design(NAMES, (1, 2, 3)), noise=0.2)
    raw, judged = measured.means().risk[1:], Predictor(found, measured).estimate(measured.sets[1:]).risk
    truth = Planted({}).risk("infer", frozenset())
    assert truth - raw.min() > 0.12
    assert truth - judged.min() < 0.07


def test_what_changes_nothing_alone_changes_nothing_in_sets() -> None:
    """``d6`` leaves one attack as it is in every seed, as rounded answers leave a backdoor."""
    planted, blind = drawn(NAMES, 5, pairs=1.5), "infer"

    def risk(attack: str, members: frozenset[str], seed: int) -> float:
        active = members - {"d6"} if attack == blind else members
        noise = np.random.default_rng([seed, len(attack), *(int(one[1]) for one in sorted(active))]).normal()
        return float(np.clip(planted.risk(attack, active) + 0.05 * noise, 0, 1))

    sets = design(NAMES, (1, 2))
    record, rows = world(
        sets, 12, risk, lambda members, _: planted.accuracy(members), lambda members: 1.0 + len(members)
    )
    found = universe(record, {})
    measured = responses(record, rows, "digits", found)
    pair = frozenset((0, 6))
    rest = np.array([i for i, one in enumerate(measured.sets) if one != pair])
    predictor = Predictor(found, measured, rest)
    assert [bool(one and one.inert[6]) for one in predictor.fitted[:4]] == [p.attack == blind for p in measured.places]
    assert not any(one.inert[:6].any() for one in predictor.fitted if one is not None)
    together, alone = (predictor.estimate([one]).risk[0] for one in (pair, frozenset([0])))
    for column, place in enumerate(measured.places):
        assert (together[column] == pytest.approx(alone[column], abs=1e-9)) == (place.attack == blind)


def test_few_sets_give_wide_intervals_instead_of_none() -> None:
    found, measured = _measured(drawn(NAMES[:2], 0), design(NAMES[:2], (1,)))
    predicted = Predictor(found, measured).draws([frozenset((0, 1))], np.random.default_rng(0))
    low, high = np.quantile(predicted.risk[:, 0], [0.025, 0.975], axis=0)
    assert (high - low > 0.2).all()
