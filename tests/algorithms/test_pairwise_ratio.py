"""RMIA and LiRA against their papers' formulas on the same logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import published
import pytest
from scipy.special import log_softmax

from threatloop.algorithms.pairwise_ratio import GRID, best_a, offline, online, population, shares
from threatloop.algorithms.shadow_scoring import Variance, lira_online
from threatloop.core.assets import Dataset
from threatloop.core.errors import InputError
from threatloop.core.schema import Column, TabularSchema
from threatloop.modality import of
from threatloop.numerics.roc import auc

Floats = npt.NDArray[np.float64]
SCHEMA = TabularSchema(classes=tuple("abcde"), columns=(Column(name="v"),))


def logits(*shape: int, seed: int) -> npt.NDArray[np.float32]:
    found = log_softmax(np.random.default_rng(seed).normal(0, 3, (*shape, 5)), axis=-1)
    return np.asarray(found, np.float32)


def records(n: int, seed: int) -> Dataset:
    y = np.random.default_rng(seed).integers(5, size=n)
    return Dataset(np.zeros((n, 1), np.float32), y, SCHEMA, np.arange(n))


def halves(models: int, n: int) -> npt.NDArray[np.bool_]:
    return np.argsort(np.random.default_rng(9).random((models, n)), axis=0) < models // 2


@pytest.mark.parametrize("variance", ["fixed", "per_record"])
def test_lira_is_the_published_formula(variance: Variance) -> None:
    data, masks = records(25, 1), halves(8, 25)
    victim, shadows = logits(25, seed=2), logits(8, 25, seed=3)
    signal = of(SCHEMA).membership_signal
    found = lira_online(signal(victim, data), np.stack([signal(one, data) for one in shadows]), masks, variance)
    slow = published.lira(victim.astype(float), shadows.astype(float), masks, data.y, variance == "fixed")
    np.testing.assert_allclose(found, slow, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("a", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 8.0])
def test_rmia_is_the_published_formula(a: float | None, gamma: float) -> None:
    data, others, masks = records(40, 1), records(30, 2), halves(6, 40)
    losses = of(SCHEMA).losses
    x, z = -losses(logits(40, seed=3), data), -losses(logits(30, seed=4), others)
    ref_x = np.stack([-losses(one, data) for one in logits(6, 40, seed=5)])
    ref_z = np.stack([-losses(one, others) for one in logits(6, 30, seed=6)])
    log_px = online(ref_x, masks) if a is None else offline(ref_x, masks, a)
    found = shares(x, log_px, z, population(ref_z), gamma)
    slow = published.rmia(np.exp(x), np.exp(z), np.exp(ref_x), np.exp(ref_z), masks, gamma, a)
    np.testing.assert_allclose(found, slow, atol=1e-6)
    assert ((found >= 0) & (found <= 1)).all()


def test_ties_keep_the_order_of_the_ratios() -> None:
    ratio = np.array([-1.0, 0.2, 0.1, 5.0])
    found = shares(ratio, np.zeros(4), np.array([50.0]), np.zeros(1), 2.0)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(ratio))
    assert np.isnan(shares(np.array([np.nan]), np.zeros(1), np.zeros(1), np.zeros(1), 2.0)).all()


def test_the_correction_is_found_on_the_shadow_models() -> None:
    rng = np.random.default_rng(0)
    masks = halves(8, 400)
    hard = rng.uniform(0.05, 0.95, 400)
    # Trained on a record, a model lifts its confidence by an equal share of what is missing: a = 0 fits best.
    p = hard + masks * 0.5 * (1 - hard) + rng.normal(0, 0.01, (8, 400))
    log_probs = np.log(np.clip(p, 1e-3, 1))
    found = best_a(log_probs, masks)
    assert found in GRID
    areas = []
    for a in (found, 1.0):
        area = auc(log_probs[0] - offline(log_probs[1:], masks[1:], a), masks[0])
        assert isinstance(area, float)
        areas.append(area)
    assert areas[0] >= areas[1]
    assert best_a(log_probs[:2], halves(2, 400)) in GRID


def test_a_record_without_out_models_is_named() -> None:
    masks = halves(4, 3)
    masks[:, 1] = True
    with pytest.raises(InputError, match="record 1"):
        offline(np.zeros((4, 3)), masks, 0.3)
